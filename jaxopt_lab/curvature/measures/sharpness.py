"""Sharpness as the rise of the loss along the step of SAM, ASAM or SAMSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import jax
from jax import Array

from jaxopt_lab.core import trees
from jaxopt_lab.core.checks import check_non_negative
from jaxopt_lab.core.perturbation import (
    NormOrder,
    ScalingName,
    check_order,
    check_scaling,
    perturb,
    scaling_tree,
)
from jaxopt_lab.core.typing import Batch, MaskOrFn, Params, PyTree, Scalar
from jaxopt_lab.curvature.measures.batch_means import (
    batch_loss,
    batch_value_and_grad,
    data_loss,
    mean_over_batches,
)
from jaxopt_lab.curvature.operators.blocks import Point, split
from jaxopt_lab.curvature.operators.products import Weights

LossFn = Callable[[Any, Batch], Array]


@partial(jax.jit, static_argnums=(3, 5))
def _perturbed(
    free: PyTree,
    grads: PyTree,
    rho: Scalar,
    scaling: ScalingName,
    eta: Scalar,
    p: NormOrder,
    adapted: PyTree,
) -> PyTree:
    everything = jax.tree.map(lambda _: True, free)
    t = scaling_tree(scaling, free, adapted, eta, p)
    return perturb(free, grads, rho, everything, "all", scaling=t)


def ascent_sharpness(
    loss_fn: LossFn,
    params: Params,
    batches: Iterable[Batch],
    rho: Scalar = 0.05,
    *,
    scaling: ScalingName = "identity",
    eta: Scalar = 0.01,
    p: NormOrder = math.inf,
    adapt_mask: MaskOrFn | None = None,
    mask: MaskOrFn | None = None,
    per_batch: bool = False,
    example_weights: Weights = None,
) -> Array:
    r"""The rise of the loss along the step that a sharpness-aware method takes.

    .. math::
        L\Big(w + \rho \frac{T^2 g}{\|T g\|_2}\Big) - L(w), \quad g = \nabla L(w).

    Args:
      loss_fn: ``loss_fn(params, batch) -> scalar``, the mean over the batch's
        examples; batch normalization frozen, dropout off. Pass the same function
        object again at the next point: compiled programs are cached by it.
      params: tree of parameters; those narrower than float32 are cast up.
      batches: a list of batches, or an object that gives a new iterator for each
        pass. They are weighted by their numbers of examples.
      rho: length of the step; the published 0.05 for SAM, 0.5 for ASAM.
      scaling: the diagonal T: ``"identity"``, 1; ``"abs"``, ``|w| + eta``;
        ``"abs_over_range"``, that divided by the norm of the tensor.
      eta: added to the magnitudes in T; not used with ``"identity"``.
      p: order of SAMSON's norm; used with ``"abs_over_range"`` only.
      adapt_mask: leaves that T scales. Default: all but those called ``bias``.
      mask: leaves that move. Default: all.
      per_batch: every batch ascends along its own gradient, and the mean of their
        rises is taken: the m-sharpness of batches of m examples, which is larger.
      example_weights: weight of every example of a batch, such as 0 for padding.

    Returns:
      Scalar, float32 or better; 0 where the gradient is 0.

    Raises:
      InputError: a number is negative, a name unknown, a mask or the batches do not
        fit, or the loss is no scalar.

    Cost: one gradient and one more loss of the data set. It can be negative only
    where the step passes over a ridge.

    >>> import jax.numpy as jnp
    >>> loss = lambda w, x: jnp.mean((w - x) ** 2) / 2
    >>> float(ascent_sharpness(loss, jnp.array(2.0), [jnp.zeros(3)], rho=0.5))
    1.125

    Reference: Foret, Kleiner, Mobahi and Neyshabur, "Sharpness-Aware Minimization for
    Efficiently Improving Generalization", arXiv:2010.01412; Kwon, Kim, Park and Choi,
    "ASAM", arXiv:2102.11600.
    """
    check_non_negative("rho", rho)
    check_non_negative("eta", eta)
    check_scaling(scaling)
    check_order(p)
    point = split(params, mask)
    adapt = trees.everything_but("bias") if adapt_mask is None else adapt_mask
    adapted = jax.tree.map(
        lambda a, x: None if x is None else a,
        trees.resolve_mask(adapt, params, "adapt_mask"),
        point.free,
    )

    def perturbed(grads: PyTree) -> Point:
        free = _perturbed(point.free, grads, rho, scaling, eta, p, adapted)
        return point._replace(free=free)

    def first(batch: Batch) -> Any:
        return batch_value_and_grad(loss_fn, example_weights, point, batch)

    def rise(batch: Batch) -> tuple[Array, Array]:
        (loss, grads), weight = first(batch)
        there, _ = batch_loss(loss_fn, example_weights, perturbed(grads), batch)
        return there - loss, weight

    if per_batch:
        return mean_over_batches(rise, batches)
    loss, grads = mean_over_batches(first, batches)
    return data_loss(loss_fn, perturbed(grads), batches, example_weights) - loss


def sam_sharpness(
    loss_fn: LossFn,
    params: Params,
    batches: Iterable[Batch],
    rho: Scalar = 0.05,
    **options: Any,
) -> Array:
    """``ascent_sharpness`` with the step of SAM.

    Args:
      loss_fn: see ``ascent_sharpness``.
      params: see there.
      batches: see there.
      rho: length of the step.
      **options: see there.

    Returns:
      ``L(w + rho g / |g|) - L(w)``, a scalar.
    """
    return ascent_sharpness(
        loss_fn, params, batches, rho, scaling="identity", **options
    )


def asam_sharpness(
    loss_fn: LossFn,
    params: Params,
    batches: Iterable[Batch],
    rho: Scalar = 0.5,
    *,
    eta: Scalar = 0.01,
    **options: Any,
) -> Array:
    """``ascent_sharpness`` with the step of ASAM, scaled by the weights' magnitudes.

    Args:
      loss_fn: see ``ascent_sharpness``.
      params: see there.
      batches: see there.
      rho: length of the step where ``|w| + eta`` is 1.
      eta: added to the magnitudes.
      **options: see there.

    Returns:
      ``L(w + rho T^2 g / |T g|) - L(w)``, a scalar.
    """
    return ascent_sharpness(
        loss_fn, params, batches, rho, scaling="abs", eta=eta, **options
    )
