"""Curvature along the batches' own gradients, and the edge of stability."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Literal, get_args

import jax.numpy as jnp
from jax import Array

from jaxopt_lab.core import errors
from jaxopt_lab.core.checks import check_non_negative, check_unit
from jaxopt_lab.core.typing import Batch, MaskOrFn, Params, Scalar
from jaxopt_lab.curvature.measures.batch_means import (
    Estimate,
    batch_rayleigh,
    each_batch,
    estimate,
)
from jaxopt_lab.curvature.measures.sharpness import LossFn
from jaxopt_lab.curvature.operators.blocks import split
from jaxopt_lab.curvature.operators.products import Weights

Momentum = Literal["heavy_ball", "nesterov", "average"]


def batch_sharpness(
    loss_fn: LossFn,
    params: Params,
    batches: Iterable[Batch],
    *,
    mask: MaskOrFn | None = None,
    example_weights: Weights = None,
) -> Estimate:
    r"""Mean curvature of the batches' losses along their own gradients.

    .. math::
        E_b\Big[\frac{g_b^\top H_b\, g_b}{\|g_b\|^2}\Big],
        \quad g_b = \nabla L_b(w), \; H_b = \nabla^2 L_b(w).

    In stochastic gradient descent with batches of this size it is this number that
    settles near ``2 / eta``; the largest eigenvalue of the whole Hessian stays lower.

    Args:
      loss_fn: see ``ascent_sharpness``.
      params: tree of parameters; those narrower than float32 are cast up.
      batches: batches of the size that is trained with, drawn as in training. The
        value depends on that size; a shorter last batch counts by its size.
      mask: leaves that are differentiated. Default: all.
      example_weights: weight of every example of a batch.

    Returns:
      The mean over the batches with its standard error; a batch whose gradient is
      zero has no direction and does not count.

    Raises:
      InputError: a mask or the batches do not fit, or the loss is no scalar.

    Cost: about three gradients of each batch (one for the direction, two for the
    product). Two vectors like the parameters.

    >>> loss = lambda w, x: jnp.mean(x) * w**2 / 2
    >>> found = batch_sharpness(loss, jnp.array(1.0), [jnp.ones(2), 3 * jnp.ones(2)])
    >>> float(found.value), float(found.standard_error)
    (2.0, 1.0)

    Reference: Andreyev and Beneventano, "Edge of Stochastic Stability: Revisiting the
    Edge of Stability for SGD", arXiv:2412.20553.
    """
    point = split(params, mask)
    found = each_batch(
        partial(batch_rayleigh, loss_fn, example_weights, point), batches
    )
    values = jnp.stack([value for (value, _), _ in found])
    counts = [jnp.where(norm == 0, 0, weight) for (_, norm), weight in found]
    return estimate(values, jnp.stack(counts))


def stability_ratio(
    eigenvalue: Scalar,
    learning_rate: Scalar,
    *,
    momentum: Scalar = 0.0,
    kind: Momentum = "heavy_ball",
) -> Array:
    r"""An eigenvalue of the Hessian over the largest one that is stable.

    Gradient descent on a quadratic with curvature above :math:`\lambda^*` diverges:

    .. math::
        \lambda^* = \frac{2}{\eta}, \quad
        \frac{2 + 2 \beta}{\eta} \text{ (heavy ball)}, \quad
        \frac{2 + 2 \beta}{\eta (1 + 2 \beta)} \text{ (Nesterov)}, \quad
        \frac{2 + 2 \beta}{\eta (1 - \beta)} \text{ (average)}.

    Args:
      eigenvalue: the largest eigenvalue, or ``batch_sharpness``; for Adam the largest
        of the preconditioned Hessian (``preconditioned`` with ``adam_diagonal``).
      learning_rate: eta.
      momentum: beta, in [0, 1].
      kind: ``"heavy_ball"``, ``m = beta m + g``; ``"nesterov"``; ``"average"``,
        ``m = beta m + (1 - beta) g``, as in Adam.

    Returns:
      ``lambda / lambda*``: without momentum ``lambda eta / 2``; 1 at the edge of
      stability.

    Raises:
      InputError: a number is out of range, or the name is unknown.

    >>> float(stability_ratio(20.0, 0.1))
    1.0

    Reference: Cohen, Kaur, Li, Kolter and Talwalkar, "Gradient Descent on Neural
    Networks Typically Occurs at the Edge of Stability", arXiv:2103.00065; for Adam
    Cohen et al., "Adaptive Gradient Methods at the Edge of Stability",
    arXiv:2207.14484.
    """
    check_non_negative("learning_rate", learning_rate)
    check_unit("momentum", momentum)
    if kind not in get_args(Momentum):
        raise errors.unknown("kind", kind, get_args(Momentum))
    ratio = jnp.asarray(eigenvalue) * learning_rate / (2 + 2 * momentum)
    if kind == "nesterov":
        return ratio * (1 + 2 * momentum)
    return ratio * (1 - momentum) if kind == "average" else ratio


def log_stability_ratio(
    eigenvalue: Scalar,
    learning_rate: Scalar,
    *,
    momentum: Scalar = 0.0,
    kind: Momentum = "heavy_ball",
) -> Array:
    """Natural logarithm of ``stability_ratio``: 0 at the edge, positive beyond.

    Args:
      eigenvalue: see ``stability_ratio``.
      learning_rate: see there.
      momentum: see there.
      kind: see there.

    Returns:
      The logarithm, -inf where the ratio is not positive; its derivative is 0 there.

    >>> float(log_stability_ratio(20.0, 0.1)), float(log_stability_ratio(-1.0, 0.1))
    (0.0, -inf)
    """
    ratio = stability_ratio(eigenvalue, learning_rate, momentum=momentum, kind=kind)
    positive = ratio > 0
    return jnp.where(positive, jnp.log(jnp.where(positive, ratio, 1)), -jnp.inf)
