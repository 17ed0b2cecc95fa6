"""The distance of the weights from their start, and its growth with the logarithm."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core import trees
from jaxopt_lab.core.typing import Params


class WeightDistance(NamedTuple):
    r"""State of the monitor; scalars but for ``start``.

    Attributes:
      start: the parameters at the start, 4 bytes a parameter.
      count: int32, points so far.
      sums: ``(5,)``, sums of x, y, x^2, x y and y^2 with :math:`x = \log t` and y the
        distance.
    """

    start: Params
    count: jax.Array
    sums: jax.Array


def init_weight_distance(params: Params) -> WeightDistance:
    """The monitor before the first step.

    Args:
      params: the parameters at the start.

    Returns:
      Its state.
    """
    dtype = trees.scalar_dtype(params)
    return WeightDistance(params, jnp.zeros((), jnp.int32), jnp.zeros(5, dtype))


def weight_distance(
    state: WeightDistance, params: Params, step: jax.Array | int
) -> tuple[dict[str, jax.Array], WeightDistance]:
    r"""The distance after a step, and the fit of all so far.

    .. math:: \|w_t - w_0\| \approx a + b \log t

    by least squares over the points given: early in training a random walk on a random
    landscape moves with the logarithm of time.

    Args:
      state: of ``init_weight_distance``.
      params: the parameters now.
      step: t, at least 1.

    Returns:
      ``{"weight_distance", "weight_distance_slope", "weight_distance_r2"}``, b and the
      part of the variance that the line explains, both 0 with fewer than two different
      points; and the state.

    >>> state = init_weight_distance({"w": jnp.zeros(2)})
    >>> for t in (1, 2, 4):
    ...     w = {"w": jnp.array([jnp.log2(t) + 1.0, 0.0])}
    ...     found, state = weight_distance(state, w, t)
    >>> round(float(found["weight_distance_slope"] * jnp.log(2.0)), 4)
    1.0

    Source: Hoffer, Hubara and Soudry, "Train longer, generalize better", 2017,
    arXiv:1705.08741.
    """
    distance = trees.global_norm(jax.tree.map(jnp.subtract, params, state.start))
    dtype = state.sums.dtype
    y, x = distance.astype(dtype), jnp.log(jnp.asarray(step, dtype))
    sums = state.sums + jnp.stack([x, y, x * x, x * y, y * y])
    count = state.count + 1
    n = count.astype(dtype)
    mean_x, mean_y, xx, xy, yy = sums / n
    spread, both, height = xx - mean_x**2, xy - mean_x * mean_y, yy - mean_y**2
    apart = spread > 1e-6 * jnp.maximum(xx, 1e-6)
    slope = jnp.where(apart, trees.safe_divide(both, spread), 0)
    explained = jnp.where(apart, trees.safe_divide(both * both, spread * height), 0)
    found = {
        "weight_distance": distance,
        "weight_distance_slope": slope,
        "weight_distance_r2": jnp.minimum(explained, 1),
    }
    return found, WeightDistance(state.start, count, sums)
