"""Momentum-SAM: perturbation along the momentum, without a second gradient."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core import checks, placement, trees
from jaxopt_lab.core.checks import increment, value_at
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import NON_NEGATIVE, check_arguments
from jaxopt_lab.core.perturbation import perturb
from jaxopt_lab.core.typing import Params, Scalar, ScalarOrSchedule, Updates
from jaxopt_lab.transforms.sharpness.evaluation import refuse_inside

_LINK = "momentum_sam"
_MOMENTA = ("mu", "trace")
_BEHIND = "Put it inside: momentum_sam(optax.chain(..., it), rho)"


class MomentumSamState(NamedTuple):
    """State of ``momentum_sam``: 0 bytes per parameter beyond the inner state.

    Attributes:
      count: int32 scalar, number of updates so far; the argument of schedules.
      rho: float scalar, radius of the current perturbation.
      inner: state of the inner optimizer, the momentum in it.
    """

    count: jax.Array
    rho: jax.Array
    inner: Any

    def eval_params(self, params: Params) -> Params:
        """The unperturbed parameters; see ``eval_params``."""
        return _moved(params, momentum_of(self.inner, params), -self.rho)

    @staticmethod
    def exact_moments() -> tuple[str, ...]:
        """Fields of the inner state from which the perturbation is computed.

        The next step takes it back, so ``quantize_state`` must not round them.
        """
        return _MOMENTA


def momentum_sam(
    inner: optax.GradientTransformation,
    rho: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 0.1,
) -> optax.GradientTransformationExtraArgs:
    r"""Take the gradient ahead along the momentum.

    A wrapper that owns its inner optimizer. With its momentum m (0 at first), the
    gradient of a step is that at

    .. math::
        \tilde w = w - \rho \frac{m}{\|m\|_2},

    ahead of ``w`` in the direction of the step, a longer Nesterov look-ahead of fixed
    length. The PARAMETERS of the training are the perturbed ones, so that the one
    gradient of a plain step is the right one: the update is the inner optimizer's,
    minus the old perturbation, plus the new one. Evaluate at ``eval_params(params,
    state)``. Since the updates contain the perturbation, nothing may stand behind it in
    a chain: what scales or clips updates belongs inside, as the end of ``inner``.

    Args:
      inner: an optimizer with a momentum: ``trace`` of ``optax.sgd(momentum=)``, or
        ``mu`` of the Adam and Lion family. It sees the perturbed parameters, so decay
        in it is taken there.
      rho: length of the perturbation, in the units of the parameters' norm; a number, a
        traced scalar, or a schedule of the number of updates. 0 gives the inner
        optimizer. It grows with the network: the authors' README uses 3.

    Returns:
      An optimizer; its ``update`` takes ``params``. It needs no ``grad_fn``.

    Raises:
      InputError: the inner optimizer has no momentum or several, ``params`` is missing,
        ``rho`` is negative, a parameter is narrower than float32, a transform stands
        behind it, or ``inner`` keeps other parameters to evaluate.

    Gradient evaluations: 1 a step. Memory: no state of its own. Differentiable in
    ``rho``, the inner optimizer's hyper-parameters and the parameters, also at zero
    gradients.

    Decisions: we follow the authors' code. The sign is MINUS: m is a sum of gradients,
    so the perturbation points ahead along the step, downhill. Weight decay is taken at
    the perturbed point, and step 0 is not perturbed. Their denominator is the
    norm plus 1e-12, ours the bare norm. Keeping ``w`` besides would be exact but cost
    4 bytes per parameter; here it differs by the rounding of one sum per step.

    >>> import jaxopt_lab
    >>> tx = jaxopt_lab.momentum_sam(optax.sgd(0.1, momentum=0.9), rho=0.5)
    >>> w = jnp.array(1.0)
    >>> updates, _ = tx.update(jnp.array(2.0), tx.init(w), w)
    >>> round(float(updates), 4)  # -0.1 * 2 - 0.5
    -0.7

    Reference: Becker, Altrock and Risse, "Momentum-SAM: Sharpness Aware Minimization
    without Computational Overhead", arXiv:2401.12033. Code followed:
    MarlonBecker/MSAM.
    """
    check_arguments(momentum_sam, locals())
    inner = optax.with_extra_args_support(inner)

    def init_fn(params: Params) -> MomentumSamState:
        params = trees.arrays(params)
        state = inner.init(params)
        refuse_inside(_LINK, state)
        momentum_of(state, params)
        checks.require_float32(_LINK, params, trees.resolve_mask(None, params))
        # The dtype of the radius in every later step.
        dtype = jax.eval_shape(trees.global_norm, params).dtype
        return MomentumSamState(jnp.zeros((), jnp.int32), jnp.zeros((), dtype), state)

    def update_fn(
        updates: Updates, state: Any, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, MomentumSamState]:
        if params is None:
            raise InputError(f"{_LINK} needs params: call tx.update(grads, state, w)")
        placement.refuse_behind(_LINK, "the perturbation", _BEHIND)
        params = trees.arrays(params)
        # The inner optimizer's new parameters are not those of the step.
        extra.pop("fused_apply", None)
        old = momentum_of(state.inner, params)
        steps, inner_state = inner.update(updates, state.inner, params, **extra)
        new = momentum_of(inner_state, params)
        radius = jnp.asarray(value_at(rho, state.count), state.rho.dtype)
        zero = jax.tree.map(jnp.zeros_like, steps)
        back = _moved(zero, old, -state.rho)
        ahead = _moved(zero, new, radius)
        moves = jax.tree.map(lambda u, b, a: u + (a + b), steps, back, ahead)
        count = increment(state.count)
        return moves, MomentumSamState(count, radius, inner_state)

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)


def _moved(params: Params, momentum: Updates, rho: Scalar) -> Params:
    """``params - rho * m / ||m||``."""
    mask = trees.resolve_mask(None, params)
    return perturb(params, momentum, -jnp.asarray(rho), mask, "all")


def momentum_of(state: Any, params: Params) -> Updates:
    """The momentum in an optimizer's state.

    Args:
      state: any state; searched for NamedTuples with a field ``trace`` or ``mu``.
      params: the parameters, whose structure the momentum has.

    Returns:
      The momentum.

    Raises:
      InputError: there is none, there are several, or it is stored as codes.

    >>> state = optax.sgd(0.1, momentum=0.9).init(jnp.ones(2))
    >>> momentum_of(state, jnp.ones(2)).shape
    (2,)
    """
    structure = jax.tree.structure(params)
    found: list[Updates] = []

    def has_momentum(node: Any) -> bool:
        # Compare fields, not attributes: arrays have a method `trace`.
        names = set(getattr(node, "_fields", ())) & set(_MOMENTA)
        trees_of = [getattr(node, name) for name in sorted(names)]
        here = [t for t in trees_of if jax.tree.structure(t) == structure]
        found.extend(here)
        return bool(here)

    jax.tree.leaves(state, is_leaf=has_momentum)
    if len(found) != 1:
        number = "no momentum" if not found else f"{len(found)} momenta"
        raise InputError(
            f"{_LINK} needs an inner optimizer with one momentum (optax.sgd(..., "
            f"momentum=0.9), optax.adam); the given one has {number} of these "
            "parameters"
        )
    pairs = zip(jax.tree.leaves(found[0]), jax.tree.leaves(params), strict=True)
    if any(trees.is_floating(p) and not trees.is_floating(m) for m, p in pairs):
        raise InputError(
            f"{_LINK} needs the momentum itself; it is stored as codes by "
            "quantize_state: leave it as it is (select=)"
        )
    return found[0]
