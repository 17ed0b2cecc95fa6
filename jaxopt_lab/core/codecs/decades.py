r"""The dynamic map by arithmetic, for TPUs, on which a gather of a table is slow.

In decade i of D there are :math:`N = 2^{i + f}` codes, f = 0 signed and 1 unsigned.
With q the index of a magnitude plus f, N is the largest power of two up to q, and

.. math::
    \text{magnitude} = u \cdot 10^{i - D} / 2 N, \quad u = 18 q + 9 - 16 N,

a whole number times a constant of the decade, :math:`5^i 10^{-D} / 2^{1 + f}`. So is
the midpoint below it, with tenths: u = 18 q - 16 N within the decade, 3.6 more at its
beginning. A product of a short whole number and of the first bits of a constant is
exact, so with the other bits in a second constant the results are those of the tables,
to the last bit.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np


@functools.cache
def _constants(
    decades: int, signed: bool, bits: int, factor: float
) -> tuple[np.ndarray, np.ndarray]:
    """The constants of the decades and of 1, first bits and the rest, float32."""
    scale = factor / 10.0**decades / (2 if signed else 4)
    exact = np.array([5.0**i * scale for i in range(decades + 1)])
    whole, exponent = np.frexp(exact)
    high = np.ldexp(np.round(np.ldexp(whole, bits)), exponent - bits)
    return high.astype(np.float32), (exact - high).astype(np.float32)


def _chosen(q: jax.Array, least: int, values: np.ndarray) -> jax.Array:
    """The value of the decade of q."""
    found = jnp.full_like(q, values[0])
    for i, value in enumerate(values[1:], 1):
        found = jnp.where(q >= np.float32(least * 2**i), value, found)
    return found


def _power_of_two(q: jax.Array) -> jax.Array:
    """The largest power of two up to a positive float32."""
    bits = jax.lax.bitcast_convert_type(q, jnp.uint32) & np.uint32(0x7F800000)
    return jax.lax.bitcast_convert_type(bits, jnp.float32)


def magnitude(index: jax.Array, decades: int, signed: bool) -> jax.Array:
    """``magnitudes`` at an index.

    Args:
      index: whole float32 numbers from 0 on.
      decades: D, 7 for 8 bits and 3 for 4.
      signed: which map.

    Returns:
      The float32 numbers of the table.
    """
    least = 1 if signed else 2
    q = index + np.float32(least - 1)
    u = 18 * q + 9 - 16 * _power_of_two(q)
    constants = _constants(decades, signed, 12, 1.0)
    high, low = (_chosen(q, least, x[:-1]) for x in constants)
    found = u * high + u * low
    found = jnp.where(q < least, jnp.zeros_like(found), found)
    return jnp.where(q >= least * 2**decades, jnp.ones_like(found), found)


def below_midpoint(
    a: jax.Array, index: jax.Array, decades: int, signed: bool
) -> jax.Array:
    """Whether a number is below the midpoint of a magnitude and the one before it.

    Args:
      a: float32 in [0, 1].
      index: index of the upper magnitude, whole float32 numbers from 1 on.
      decades: as for ``magnitude``.
      signed: which map.

    Returns:
      Booleans.
    """
    least = 1 if signed else 2
    q = index + np.float32(least - 1)
    power = _power_of_two(q)
    # Ten times the whole number; between two decades it is another, below the first
    # value half of it, and below 1 the last decade's alone.
    begins = jnp.where(q == least, np.float32(45 - 10 * least), np.float32(36))
    begins = jnp.where(q == least * 2**decades, np.float32(-9), begins)
    u = 180 * q - 160 * power + jnp.where(q == power, begins, jnp.zeros_like(q))
    # It has up to 15 bits, so the first 9 of a constant give an exact product.
    constants = _constants(decades, signed, 9, 0.1)
    high, low = (_chosen(q, least, x) for x in constants)
    return (a - u * high) < u * low
