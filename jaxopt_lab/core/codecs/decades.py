r"""The dynamic map by arithmetic: a gather of a table is slow, on a TPU above all.

In decade i of D there are :math:`N = 2^{i + f}` codes, f = 0 signed and 1 unsigned.
With q the index of a magnitude plus f, N is the largest power of two up to q, and

.. math::
    \text{magnitude} = u \cdot 10^{i - D} / 2 N, \quad u = 18 q + 9 - 16 N,

a whole number times a constant of the decade, :math:`5^i 10^{-D} / 2^{1 + f}`. So is
the midpoint below it, with u = 18 q - 16 N, but for the first of a decade. A product of
a short whole number and of the first bits of a constant is exact, so with the other
bits in a second constant the results are those of the tables, to the last bit.
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


def index_of(a: jax.Array, starts: np.ndarray, signed: bool) -> jax.Array:
    """Index of the nearest magnitude, of a midpoint the upper one.

    The decade is known by comparisons. Within it thresholds are equally spaced, so a
    line tells the only one that can matter, and its exact place tells the index.

    Args:
      a: float32 in [0, 1].
      starts: the least float32 number of each decade, and the least that is 1.
      signed: which map.

    Returns:
      Whole float32 numbers from 0 on.
    """
    first = 0 if signed else 1
    number = len(starts) - 1
    i = np.arange(number)
    codes = 2.0 ** (i + first)
    slopes = codes / (0.9 * 10.0 ** (i - number + 1))
    decades = [a >= np.float32(x) for x in starts[1:-1]]

    def of_decade(values: np.ndarray) -> jax.Array:
        found = jnp.full_like(a, np.float32(values[0]))
        for here, value in zip(decades, values[1:], strict=True):
            found = jnp.where(here, np.float32(value), found)
        return found

    n = of_decade(codes)
    # Thresholds are where the line is a whole number. It jumps at quarters, not at the
    # halves, where the codes are: a compiler may compute it once for the threshold and
    # once for the index, and round the two differently.
    line = a * of_decade(slopes) + (n * np.float32(8 / 9) + np.float32(0.25))
    above, last = jnp.floor(line), 2 * n - 1
    # In this form NaN becomes a number.
    above = jnp.where(above < last, above, last)
    # u has up to 15 bits, so the first 9 of a constant give an exact product.
    u = 180 * above - 160 * n
    high, low = (of_decade(x[:-1]) for x in _constants(number, signed, 9, 0.1))
    below = (a - u * high) < u * low
    index = above - below.astype(a.dtype) - np.float32(first)
    index = jnp.where(a >= np.float32(starts[0]), index, jnp.zeros_like(index))
    one = np.float32(2 ** (number + first) - first)
    return jnp.where(a >= np.float32(starts[-1]), one, index)
