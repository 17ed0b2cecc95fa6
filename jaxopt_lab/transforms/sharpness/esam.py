"""Efficient sharpness-aware minimization (ESAM)."""
# Its examples wait for pytest --full.

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import DTypeLike

from jaxopt_lab.core import checks, gradients, trees
from jaxopt_lab.core.checks import increment, value_at
from jaxopt_lab.core.options import NON_NEGATIVE, SHARE, check_arguments
from jaxopt_lab.core.perturbation import NormOver
from jaxopt_lab.core.typing import (
    GradFn,
    MaskOrFn,
    Params,
    PyTree,
    ScalarOrSchedule,
    Updates,
)
from jaxopt_lab.transforms.sharpness.link import averaged
from jaxopt_lab.transforms.sharpness.perturbation import Perturbation


class EsamState(NamedTuple):
    """State of ``esam``: 0 bytes per parameter.

    Attributes:
      count: int32 scalar, number of updates so far; the argument of schedules.
      key: typed key from which every step draws.
    """

    count: jax.Array
    key: jax.Array


def esam(
    rho: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 0.05,
    *,
    beta: Annotated[ScalarOrSchedule, SHARE] = 0.6,
    gamma: Annotated[float, SHARE] = 1.0,
    perturb_mask: MaskOrFn | None = None,
    norm_over: NormOver = "perturbed",
    axis_name: str | None = None,
    seed: int = 0,
    compute_dtype: DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Ascend with a random part of the tensors, descend on the sharpest examples.

    A link ``g(w) -> g'(w)`` that stands FIRST in a chain. In every step each tensor
    takes part in the ascent with probability :math:`\beta`, all of it or nothing; S is
    the set of those that do, and the ascent is longer in turn:

    .. math::
        \epsilon_S = \frac{\rho}{\beta} \frac{g_S}{\|g_S\|_2}, \quad
        \epsilon_{\bar S} = 0, \quad
        g' = \nabla L_B(w + \epsilon).

    With :math:`\gamma < 1`, B is that part of the batch whose losses rose most, by
    :math:`\ell_i(w + \epsilon) - \ell_i(w)`; otherwise it is the whole batch. The
    descent is for all parameters.

    Args:
      rho: radius of the ascent, in the units of the parameters' norm; a number, a
        traced scalar, or a schedule of the number of updates. 0 gives the base
        optimizer (with ``gamma=1``).
      beta: probability of each tensor, in (0, 1]; number, traced scalar or schedule.
        1 is ``sam``.
      gamma: part of the examples that the descent uses, in (0, 1]; at least one
        example. Less than 1 needs a ``grad_fn`` made by
        ``batch_grad(loss_fn, batch, example_losses=...)``, which the train step does
        not make; with several devices each selects among its own examples. With
        ``weights`` those of weight 0 are chosen last.
      perturb_mask: leaves that may move: a tree of booleans, or a function of the
        parameters that gives one. Default: all.
      norm_over: ``"perturbed"``, norm over the tensors drawn; or ``"all"``, with which
        the mean of the perturbation over the draws is that of ``sam``.
      axis_name: the devices' axis, needed only with a plain ``grad_fn``; see ``sam``.
      seed: of the draws. They depend on it and on the number of updates alone, so
        devices, shards and a resumed run draw the same.
      compute_dtype: ``jnp.float32`` to perturb float16 or bfloat16 parameters in it;
        ``grad_fn`` then gets float32 parameters at the perturbed point, which the loss
        must take, and its gradients are cast back. Default: they are refused.

    Returns:
      A link. Its ``update`` takes ``params`` and the extra argument ``grad_fn``.

    Raises:
      InputError: ``params`` or ``grad_fn`` is missing, ``rho`` is negative, ``beta`` or
        ``gamma`` is out of (0, 1], ``gamma`` is less than 1 and ``grad_fn`` has no
        losses of the examples, a mask does not fit, a perturbed parameter is narrower
        than float32, or ``norm_over`` is unknown.

    Gradient evaluations: 2 a step; with ``gamma < 1``, ``1 + gamma`` and two passes
    forward, of which XLA drops the one that the step has made already. Memory: no
    state. Differentiable in ``rho``, ``beta`` (as far as it scales the ascent; the
    draws are constants) and the parameters, also at zero gradients.

    Decisions: the norm is that of the tensors drawn, as in the authors' code, where
    the others have no gradient; the paper's has all of them. The authors leave the
    gradients of tensors not drawn uncomputed, which is their saving; here ``g`` is
    given, so the first pass costs what it costs. Their cut-off is a strict inequality,
    so that one example fewer is taken than they say; ours takes
    ``round(gamma * examples)``. Their denominator adds 1e-7, ours is the bare norm.

    >>> import jaxopt_lab
    >>> losses = lambda w, x: x * w**2 / 2
    >>> loss = lambda w, x: jnp.mean(losses(w, x))
    >>> w, batch = jnp.array(1.0), jnp.array([1.0, 3.0])
    >>> grad_fn = jaxopt_lab.batch_grad(loss, batch, example_losses=losses)
    >>> link = jaxopt_lab.esam(rho=0.5, beta=1.0, gamma=0.5)
    >>> sharp, _ = link.update(grad_fn(w), link.init(w), w, grad_fn=grad_fn)
    >>> float(sharp)  # 3 * 1.5: the second example alone
    4.5

    Reference: Du, Yan, Feng, Zhou, Zhen, Goh and Tan, "Efficient Sharpness-aware
    Minimization for Improved Training of Neural Networks", ICLR 2022,
    arXiv:2110.03141. Code compared: dydjw9/Efficient_SAM.
    """
    check_arguments(esam, locals())
    perturbation = Perturbation(
        "esam",
        rho,
        perturb_mask=perturb_mask,
        norm_over=norm_over,
        compute_dtype=compute_dtype,
    )

    def init_fn(params: Params) -> EsamState:
        del params
        return EsamState(count=jnp.zeros((), jnp.int32), key=jax.random.key(seed))

    def update_fn(
        updates: Updates,
        state: Any,
        params: Params | None = None,
        *,
        grad_fn: GradFn | None = None,
        **extra: Any,
    ) -> tuple[Updates, EsamState]:
        del extra
        updates, params = trees.arrays((updates, params))
        w, grad_fn = gradients.enter_transform(
            "esam", updates, params, grad_fn, axis_name=axis_name
        )
        share = jnp.asarray(value_at(beta, state.count))
        radius = jnp.asarray(value_at(rho, state.count))
        allowed = trees.resolve_mask(perturb_mask, w, "perturb_mask")
        if compute_dtype is None:
            checks.require_float32("esam", w, allowed, castable=True)
        mask = _drawn(allowed, share, state.key, state.count)
        wide = trees.accumulation_dtype(jnp.result_type(radius, share))
        perturb = dataclasses.replace(
            perturbation,
            rho=radius.astype(wide) / share.astype(wide),
            perturb_mask=mask,
        ).at(w, state.count)
        perturbed = perturb(w, updates)
        if gamma < 1:
            whole = checks.require_examples(grad_fn)
            rise = whole.example_losses(perturbed) - whole.example_losses(w)
            number = max(1, round(gamma * rise.shape[0]))
            weight = getattr(whole, "example_weights", lambda: None)()
            if weight is not None:  # an example without one is not there
                rise = jnp.where(weight > 0, rise, -jnp.inf)
            _, hardest = jax.lax.top_k(jax.lax.stop_gradient(rise), number)
            sharp = whole.on_examples(perturbed, hardest)
        else:
            sharp = averaged(grad_fn, axis_name)(perturbed, 0)
        sharp = jax.tree.map(lambda g, u: g.astype(u.dtype), sharp, updates)
        count = increment(state.count)
        return sharp, EsamState(count, state.key)

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)


def _drawn(
    allowed: PyTree, share: jax.Array, key: jax.Array, count: jax.Array
) -> PyTree:
    """The mask with each leaf under it kept with probability ``share``."""
    leaves, structure = jax.tree.flatten(allowed)
    draws = jax.random.uniform(
        jax.random.fold_in(key, count), (len(leaves),), jnp.float32
    )
    kept = draws < share.astype(jnp.float32)
    return jax.tree.unflatten(
        structure, [jnp.logical_and(m, kept[i]) for i, m in enumerate(leaves)]
    )
