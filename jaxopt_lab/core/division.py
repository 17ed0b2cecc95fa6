"""Division before a rounding."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike


def quotient(x: jax.Array, divisor: ArrayLike) -> jax.Array:
    """``x / divisor`` as IEEE 754 rounds it, for a value that is rounded next.

    XLA multiplies by the reciprocal of a divisor that is a constant or repeats along a
    loop; the product may be off by one unit in the last place, which decides on which
    side a tie falls. A divisor that is selected for each element is left alone.

    Args:
      x: real floating array.
      divisor: broadcastable to ``x``; not zero where ``x`` is zero or NaN is wanted.

    Returns:
      The quotients, of the shape and type of ``x``; 0 where ``x`` is 0. Taken for
      constant: a rounding has no derivative.

    >>> float(quotient(jnp.float32(1.0), 3.0)) == float(jnp.float32(1 / 3))
    True
    """
    x, divisor = jax.lax.stop_gradient((x, jnp.asarray(divisor, x.dtype)))
    return x / jnp.where(x == 0, jnp.ones_like(x), divisor)
