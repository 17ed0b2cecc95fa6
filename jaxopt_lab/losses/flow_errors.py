"""Conditional flow matching, with weights that prefer near pairs (W-CFM)."""

from __future__ import annotations

from typing import Annotated, Literal

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import POSITIVE_OR_INFINITE, check_arguments
from jaxopt_lab.core.shapes import flattened
from jaxopt_lab.core.trees import accumulation_dtype, safe_sqrt
from jaxopt_lab.core.typing import Scalar
from jaxopt_lab.losses.targets import check_shape, kept, valid

Cost = Literal["distance", "half_squared"]


def weighted_flow_matching(
    velocity: jax.Array,
    *,
    displacement: jax.Array,
    epsilon: Annotated[Scalar, POSITIVE_OR_INFINITE] = float("inf"),
    cost: Cost = "distance",
    where: jax.Array | None = None,
) -> jax.Array:
    r"""Squared error of a velocity to the displacement of its pair, weighted.

    .. math:: e^{-c(x_0, x_1) / \epsilon}\, |v(x_t, t) - (x_1 - x_0)|^2

    with :math:`x_t = (1 - t) x_0 + t x_1` and the cost :math:`c = |x_1 - x_0|` or
    :math:`|x_1 - x_0|^2 / 2`: of independent pairs those near each other count more,
    as in entropic optimal transport.

    Args:
      velocity: v, ``(B, ...)``.
      displacement: :math:`x_1 - x_0`, of the same shape; held constant.
      epsilon: :math:`\epsilon`; infinite: conditional flow matching, without weights.
      cost: ``"distance"`` or ``"half_squared"``.
      where: ``(B,)``; 0 drops an example.

    Returns:
      Shape ``(B,)``, float32 or float64, summed over the features. Their mean over the
      batch, divided by that of ``gibbs_weights``, has a scale that does not depend on
      :math:`\epsilon`.

    Raises:
      InputError: shapes that do not belong together, ``epsilon`` out of range, or an
        unknown cost.

    Memory: the residual. From the abstract and the formula; the guidance for
    :math:`\epsilon`, about the mean cost, is ours.

    Source: "Weighted Conditional Flow Matching" (W-CFM), 2025.

    >>> v = jnp.zeros((2, 2))
    >>> apart = jnp.array([[3.0, 4.0], [0.0, 0.0]])
    >>> weighted_flow_matching(v, displacement=apart).tolist()
    [25.0, 0.0]
    """
    check_arguments(weighted_flow_matching, {"epsilon": epsilon, "cost": cost})
    errors = squared_error(velocity, displacement=displacement, where=where)
    weights = jnp.exp(_log_weights(displacement, epsilon, cost, where))
    return weights.astype(errors.dtype) * errors


def squared_error(
    velocity: jax.Array, *, displacement: jax.Array, where: jax.Array | None = None
) -> jax.Array:
    """Squared error, summed over the features.

    Args:
      velocity: ``(B, ...)``.
      displacement: of the same shape; held constant.
      where: ``(B,)``; 0 drops an example.

    Returns:
      Shape ``(B,)``, float32 or float64.

    Raises:
      InputError: shapes that do not belong together.

    >>> squared_error(jnp.ones((1, 2)), displacement=jnp.zeros((1, 2))).tolist()
    [2.0]
    """
    check_shape("displacement", displacement, jnp.shape(velocity))
    counts = valid(where, len(velocity), velocity)
    v, d = (_flat(x, where) for x in (velocity, displacement))
    losses = jnp.sum((v - jax.lax.stop_gradient(d).astype(v.dtype)) ** 2, axis=1)
    return losses if where is None else jnp.where(counts > 0, losses, 0)


def gibbs_weights(
    displacement: jax.Array,
    *,
    epsilon: Annotated[Scalar, POSITIVE_OR_INFINITE],
    cost: Cost = "distance",
    axis_name: str | None = None,
) -> jax.Array:
    r"""The weights of pairs, :math:`e^{-c / \epsilon}`, over their mean.

    Args:
      displacement: ``(B, ...)``.
      epsilon: :math:`\epsilon`.
      cost: ``"distance"`` or ``"half_squared"``.
      axis_name: axis of devices over which the mean is taken, too.

    Returns:
      Shape ``(B,)`` with mean 1, float32 or float64, without overflow or underflow of
      all; exactly 1 for an infinite :math:`\epsilon`.

    Raises:
      InputError: ``epsilon`` out of range, or an unknown cost.

    >>> gibbs_weights(jnp.array([[1.0], [9.0]]), epsilon=float("inf")).tolist()
    [1.0, 1.0]
    """
    check_arguments(gibbs_weights, {"epsilon": epsilon, "cost": cost})
    logs = _log_weights(displacement, epsilon, cost, None)
    largest = jnp.max(logs)
    if axis_name is not None:
        largest = jax.lax.pmax(largest, axis_name)
    weights = jnp.exp(logs - largest)
    mean = jnp.mean(weights)
    if axis_name is not None:
        mean = jax.lax.pmean(mean, axis_name)
    return weights / mean


def _flat(x: jax.Array, where: jax.Array | None) -> jax.Array:
    flat = flattened(jnp.asarray(x))
    if not jnp.issubdtype(flat.dtype, jnp.floating):
        raise InputError(f"flows take real floating numbers; got {flat.dtype}")
    return kept(flat.astype(accumulation_dtype(flat.dtype)), where)


def _log_weights(
    displacement: jax.Array, epsilon: Scalar, cost: Cost, where: jax.Array | None
) -> jax.Array:
    flat = jax.lax.stop_gradient(_flat(displacement, where))
    squares = jnp.sum(flat * flat, axis=1)
    lengths = safe_sqrt(squares) if cost == "distance" else squares / 2
    return -lengths / jnp.asarray(epsilon, flat.dtype)
