"""LookSAM: the second gradient only now and then."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import DTypeLike

from jaxopt_lab.core import gradients, trees
from jaxopt_lab.core.checks import (
    increment,
    value_at,
)
from jaxopt_lab.core.options import COUNT, NON_NEGATIVE, check_arguments
from jaxopt_lab.core.perturbation import NormOver
from jaxopt_lab.core.typing import GradFn, MaskOrFn, Params, ScalarOrSchedule, Updates
from jaxopt_lab.transforms.sharpness.link import averaged
from jaxopt_lab.transforms.sharpness.perturbation import Perturbation
from jaxopt_lab.transforms.sharpness.projection import (
    orthogonal_component,
    share_along,
)

_GIVEN = "the direction of the ascent and the plain gradient of the other steps"

# An orthogonal component shorter than this many units of rounding, relative to the
# gradient, is rounding error: normalized, it would be noise of full length.
_ROUNDING_UNITS = 100


class LookSamState(NamedTuple):
    """State of ``looksam``: 4 bytes per float32 parameter.

    Attributes:
      count: int32 scalar, number of updates so far.
      orthogonal_component: like the parameters, the unit vector u of the part of the
        last sharp gradient that is orthogonal to the plain one; zeros at first.
    """

    count: jax.Array
    orthogonal_component: Updates


def looksam(
    rho: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 0.05,
    *,
    every: Annotated[int, COUNT] = 5,
    alpha: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 0.2,
    perturb_mask: MaskOrFn | None = None,
    norm_over: NormOver = "perturbed",
    axis_name: str | None = None,
    compute_dtype: DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Sharpness-aware gradient every few steps, and its direction in between.

    A link ``g(w) -> g'(w)`` that stands FIRST in a chain. Every ``every`` steps, the
    first one included, ``g'`` is that of ``sam`` and the direction of its component
    orthogonal to g is kept,

    .. math::
        u = \frac{v}{\|v\|_2}, \quad v = g' - \frac{\langle g', g\rangle}{\|g\|_2^2} g,

    which changes more slowly than g. In the steps between,
    :math:`g' = g + \alpha \|g\|_2 u`, with all norms over all parameters together.

    Args:
      rho: radius of the ascent, in the units of the parameters' norm; a number, a
        traced scalar, or a schedule of the number of updates. 0 gives the base
        optimizer.
      every: number of steps from one sharp gradient to the next; 1 is ``sam``.
      alpha: length of the kept direction relative to the gradient; number, traced
        scalar or schedule.
      perturb_mask: leaves that move: a tree of booleans, or a function of the
        parameters that gives one. Default: all.
      norm_over: ``"perturbed"``, norm over the leaves that move; or ``"all"``.
      axis_name: the devices' axis, needed only with a plain ``grad_fn``; see ``sam``.
      compute_dtype: ``jnp.float32`` to perturb float16 or bfloat16 parameters in it;
        ``grad_fn`` then gets float32 parameters at the perturbed point, which the loss
        must take, and its gradients are cast back. Default: they are refused.

    Returns:
      A link. Its ``update`` takes ``params`` and the extra argument ``grad_fn``.

    Raises:
      InputError: ``params`` or ``grad_fn`` is missing, ``rho`` or ``alpha`` is
        negative, ``every`` is no whole number of at least 1, a mask does not fit, a
        perturbed parameter is narrower than float32, or ``norm_over`` is unknown.

    Gradient evaluations: ``(every + 1) / every`` a step on average: 2 in every
    ``every``-th step, 1 otherwise. The choice is a ``lax.cond``; under ``vmap`` that
    becomes a selection and every step pays 2. Memory: 4 bytes per float32 parameter.
    Differentiable in ``rho``, ``alpha`` and the parameters, also at zero gradients.

    Decisions: norms over all parameters together, as in the paper (two much used
    ports take them for each tensor). Where the orthogonal component is shorter than
    100 units of rounding relative to ``g'``, u is zero.

    >>> import jaxopt_lab
    >>> link = jaxopt_lab.looksam(rho=0.5, every=2)
    >>> loss = lambda w, batch: jnp.sum(batch * w**2)
    >>> w, batch = jnp.array([1.0, 1.0]), jnp.array([1.0, 3.0])
    >>> grad_fn, state = jaxopt_lab.batch_grad(loss, batch), link.init(w)
    >>> sharp, state = link.update(grad_fn(w), state, w, grad_fn=grad_fn)
    >>> between, state = link.update(grad_fn(w), state, w, grad_fn=grad_fn)
    >>> [round(float(x), 3) for x in state.orthogonal_component]  # orthogonal to (2, 6)
    [-0.949, 0.316]

    Reference: Liu, Mai, Chen, Hsieh and You, "Towards Efficient and Scalable
    Sharpness-Aware Minimization", CVPR 2022, arXiv:2203.02714. Code compared:
    MarlonBecker/MSAM, which has it as a baseline.
    """
    check_arguments(looksam, locals())
    perturbation = Perturbation(
        "looksam",
        rho,
        perturb_mask=perturb_mask,
        norm_over=norm_over,
        compute_dtype=compute_dtype,
    )

    def init_fn(params: Params) -> LookSamState:
        zeros = jax.tree.map(jnp.zeros_like, params)
        return LookSamState(jnp.zeros((), jnp.int32), zeros)

    def update_fn(
        updates: Updates,
        state: Any,
        params: Params | None = None,
        *,
        grad_fn: GradFn | None = None,
        **extra: Any,
    ) -> tuple[Updates, LookSamState]:
        del extra
        updates, params = trees.arrays((updates, params))
        w, grad_fn = gradients.enter_transform(
            "looksam", updates, params, grad_fn, _GIVEN, axis_name
        )
        perturb = perturbation.at(w, state.count)
        grad = averaged(grad_fn, axis_name)

        norm = trees.global_norm(updates)

        def fresh(w: Params, given: Updates, old: Updates, norm: jax.Array) -> Any:
            del old, norm
            sharp = grad(perturb(w, given), 0)
            sharp = jax.tree.map(lambda g, u: g.astype(u.dtype), sharp, given)
            share = share_along(sharp, given)
            side = orthogonal_component(sharp, given, share)
            return sharp, share, _to_unit(side, trees.global_norm(sharp))

        def between(w: Params, given: Updates, old: Updates, norm: jax.Array) -> Any:
            del w
            nothing = jnp.where(norm == norm, 0, jnp.zeros_like(norm))
            return _like(old, given), nothing, nothing

        turn = state.count % every == 0
        # Operands: a branch cannot close over arrays of a mesh of explicit axes. One
        # tree comes back, the sharp gradient in the memory of the kept direction: the
        # results of a branch are arrays of their own, and what is made of it behind
        # the branches is fused with what follows.
        old = state.orthogonal_component
        operands = (w, updates, old, norm)
        if every == 1:
            found, share, factor = fresh(*operands)
        else:
            found, share, factor = jax.lax.cond(turn, fresh, between, *operands)
        length = value_at(alpha, state.count) * norm

        def gradient(g: jax.Array, x: jax.Array, u: jax.Array) -> jax.Array:
            u = x if x.dtype == u.dtype else u
            return jnp.where(turn, x, g + (length.astype(u.dtype) * u).astype(g.dtype))

        def kept(v: jax.Array, x: jax.Array, u: jax.Array) -> jax.Array:
            unit = (factor.astype(v.dtype) * v).astype(u.dtype)
            return jnp.where(turn, unit, x if x.dtype == u.dtype else u)

        side = orthogonal_component(found, updates, share)
        sharp = jax.tree.map(gradient, updates, found, old)
        component = jax.tree.map(kept, side, found, old)
        count = increment(state.count)
        return sharp, LookSamState(count, component)

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)


def _to_unit(vector: Updates, scale: jax.Array) -> jax.Array:
    """The factor to length 1; 0 for a vector that is rounding relative to ``scale``."""
    norm = trees.global_norm(vector)
    floor = _ROUNDING_UNITS * float(jnp.finfo(norm.dtype).eps) * scale
    return trees.safe_divide(jnp.ones_like(norm), jnp.where(norm > floor, norm, 0))


def _like(tree: Updates, other: Updates) -> Updates:
    return jax.tree.map(lambda x, o: x.astype(o.dtype), tree, other)
