"""SAM along the previous step's gradient: one gradient a step."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core import checks, placement, trees
from jaxopt_lab.core.checks import increment
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import NON_NEGATIVE, check_arguments
from jaxopt_lab.core.typing import MaskOrFn, Params, ScalarOrSchedule, Updates
from jaxopt_lab.transforms.sharpness.evaluation import refuse_inside
from jaxopt_lab.transforms.sharpness.perturbation import Perturbation

_BEHIND = "Put it inside: stale_sam(optax.chain(..., it), rho)"


class StaleSamState(NamedTuple):
    """State of ``stale_sam``: 4 bytes per float32 parameter beyond the inner state.

    Attributes:
      count: int32 scalar, number of updates so far; the argument of schedules.
      offset: like the parameters, the perturbation that they contain.
      inner: state of the inner optimizer.
    """

    count: jax.Array
    offset: Params
    inner: Any

    def eval_params(self, params: Params) -> Params:
        """The unperturbed parameters; see ``eval_params``."""
        return jax.tree.map(jnp.subtract, params, self.offset)


def stale_sam(
    inner: optax.GradientTransformation,
    rho: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 0.05,
    *,
    perturb_mask: MaskOrFn | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Ascend along the gradient of the step before.

    A wrapper that owns its inner optimizer. With ``g_{t-1}`` the gradient of the step
    before (none at first),

    .. math::
        g_t = \nabla L_t\Big(w_t + \rho \frac{g_{t-1}}{\|g_{t-1}\|_2}\Big), \quad
        w_{t+1} = \mathrm{inner}(w_t, g_t).

    The PARAMETERS of the training are the perturbed ones, so that the one gradient of
    a plain step is the right one. Evaluate at ``eval_params(params, state)``. Since the
    updates contain the perturbation, nothing may stand behind it in a chain: what
    scales or clips updates belongs inside, as the end of ``inner``.

    Args:
      inner: the inner optimizer; it sees the unperturbed parameters.
      rho: radius of the ascent, in the units of the parameters' norm; a number, a
        traced scalar, or a schedule of the number of updates. 0 gives the inner
        optimizer exactly.
      perturb_mask: leaves that move: a tree of booleans, or a function of the
        parameters that gives one. Default: all.

    Returns:
      An optimizer; its ``update`` takes ``params``. It needs no ``grad_fn``.

    Raises:
      InputError: ``params`` is missing, ``rho`` is negative, the mask does not fit, a
        perturbed parameter is narrower than float32, a transform stands behind it, or
        ``inner`` keeps other parameters to evaluate.

    Gradient evaluations: 1 a step. Memory: 4 bytes per float32 parameter, the
    perturbation itself; the parameters without it are then a subtraction away and
    nothing drifts while ``rho`` changes. Differentiable in ``rho``, the inner
    optimizer's hyper-parameters and the parameters, also at zero gradients.

    Decisions: this is the common core of the asynchronous and "previous gradient"
    variants, whose gradient is that of the perturbed point; no code is followed, and
    there are no recorded trajectories. Decay in the inner optimizer is taken at the
    unperturbed
    parameters, as with ``sam``.

    >>> import jaxopt_lab
    >>> tx = jaxopt_lab.stale_sam(optax.sgd(0.1), rho=0.5)
    >>> w = jnp.array(1.0)
    >>> updates, _ = tx.update(jnp.array(2.0), tx.init(w), w)
    >>> round(float(updates), 4)  # -0.1 * 2 + 0.5
    0.3

    Reference: AsyncSAM and related work on reusing the previous gradient; see Foret et
    al., arXiv:2010.01412, for the ascent.
    """
    check_arguments(stale_sam, locals())
    perturbation = Perturbation("stale_sam", rho, perturb_mask=perturb_mask)
    inner = optax.with_extra_args_support(inner)

    def init_fn(params: Params) -> StaleSamState:
        params = trees.arrays(params)
        mask = trees.resolve_mask(perturb_mask, params, "perturb_mask")
        checks.require_float32("stale_sam", params, mask)
        offset = jax.tree.map(jnp.zeros_like, params)
        state = inner.init(params)
        refuse_inside("stale_sam", state)
        return StaleSamState(jnp.zeros((), jnp.int32), offset, state)

    def update_fn(
        updates: Updates, state: Any, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, StaleSamState]:
        updates, params = trees.arrays((updates, params))
        if params is None:
            raise InputError("stale_sam needs params: call tx.update(grads, state, w)")
        placement.refuse_behind("stale_sam", "the perturbation", _BEHIND)
        # Theirs is the perturbed point, the inner optimizer's the other one.
        for name in ("fused_apply", "grad", "value_fn"):
            extra.pop(name, None)
        steps, inner_state = inner.update(
            updates, state.inner, state.eval_params(params), **extra
        )
        perturb = perturbation.at(params, state.count)
        offset = perturb(jax.tree.map(jnp.zeros_like, params), updates)
        moves = jax.tree.map(
            lambda u, new, old: u + (new - old).astype(u.dtype),
            steps,
            offset,
            state.offset,
        )
        count = increment(state.count)
        return moves, StaleSamState(count, offset, inner_state)

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)
