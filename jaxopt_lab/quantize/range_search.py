"""Search for the range of a grid with the smallest rounding error."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

if TYPE_CHECKING:
    from jaxopt_lab.quantize.grid import Grid

POWER = 2.4
"""Exponent of the error in both published searches."""

FromRange = Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]


def searched_range(
    grid: Grid,
    weight: jax.Array,
    axes: tuple[int, ...],
    ends: tuple[jax.Array, jax.Array],
    from_range: FromRange,
    ratios: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    r"""Shrink a range as long as the error of rounding becomes smaller.

    .. math:: \min_p \sum |x - Q_{p l, p h}(x)|^{2.4}

    over the ratios p, of which the first best counts.

    Args:
      grid: rounds.
      weight: x.
      axes: those that share a step; the sum runs over them.
      ends: l and h, of length 1 on ``axes``.
      from_range: ``(l, h) -> (scale, zero_point)``.
      ratios: one axis; the first is the fallback, so that it should be 1.

    Returns:
      Scale and zero point. Memory: three copies of the weight.
    """

    def error(found: tuple[jax.Array, jax.Array]) -> jax.Array:
        scale, zero_point = found
        values = (grid.round(weight, scale, zero_point) - zero_point) * scale
        return jnp.sum(jnp.abs(weight - values) ** POWER, axis=axes, keepdims=True)

    def shrink(best: tuple, ratio: jax.Array) -> tuple[tuple, None]:
        found, least = best
        other = from_range(ratio * ends[0], ratio * ends[1])
        err = error(other)
        better = err < least
        kept = jax.tree.map(lambda a, b: jnp.where(better, a, b), other, found)
        return (kept, jnp.where(better, err, least)), None

    start = from_range(ratios[0] * ends[0], ratios[0] * ends[1])
    (found, _), _ = jax.lax.scan(shrink, (start, error(start)), ratios[1:])
    return found
