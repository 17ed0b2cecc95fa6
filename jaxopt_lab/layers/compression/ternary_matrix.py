"""Sparse random matrices of -1, 0 and 1 that are the same for ever."""
# Its examples wait for pytest --full.

from __future__ import annotations

import math
from typing import Annotated

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import SHARE, STATIC, Interval, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype

WORD = Interval(0, 2**32 - 1)


def ternary_matrix(
    seed: Annotated[int, WORD],
    shape: tuple[int, int],
    *,
    density: Annotated[float, SHARE, STATIC] = 0.5,
    balanced: bool = True,
    layer: Annotated[int, WORD] = 0,
    dtype: DTypeLike = jnp.float32,
) -> jax.Array:
    """A matrix with entries of -1, 0 and 1 from a seed.

    The bits come from a 32-bit integer hash of seed, layer, row and column that is
    written here, not from jax's generator, whose bits may change with version, backend
    and flags: a checkpoint that keeps the seed alone means one matrix for ever.

    Args:
      seed: a whole number of 32 bits.
      shape: ``(inputs, outputs)``.
      density: share of the entries that are not 0, in (0, 1].
      balanced: exactly ``ones_of_column`` entries of each column are not 0; else every
        entry is not 0 with probability ``density``, and a column may be all 0.
      layer: a number that tells the layers of one seed apart.
      dtype: of the result.

    Returns:
      The matrix; signs are fair. Under ``jit`` it is a constant of the program.

    Raises:
      InputError: an argument is out of range, or ``density`` leaves a balanced column
        no entry.

    The hash multiplies and shifts twice for each number that goes in (the multipliers
    are those of C. Wellons' lowbias32). Balanced columns cost a sort.

    Source: from the abstract of "Compressing 1D Time-Channel Separable Convolutions
    using Sparse Random Ternary Matrices", 2021 (https://arxiv.org/abs/2103.17142); the
    density, the balanced form and the hash are ours.

    >>> ternary_matrix(0, (4, 3), dtype=jnp.int8).tolist()
    [[1, 0, -1], [-1, 0, 0], [0, -1, 0], [0, -1, -1]]
    """
    check_arguments(ternary_matrix, locals())
    inputs, outputs = shape
    bits = _bits(seed, layer, inputs, outputs)
    sign = 1 - 2 * (_mixed(bits ^ _word(0x9E3779B9)) >> 31).astype(jnp.int32)
    if balanced:
        count = ones_of_column(inputs, density)
        order = jnp.argsort(bits, axis=0, stable=True)
        kept = jnp.argsort(order, axis=0, stable=True) < count
    else:
        share = math.floor(density * 2**32)
        kept = jnp.ones(shape, bool) if share >= 2**32 else bits < _word(share)
    return jnp.where(kept, sign, 0).astype(dtype)


def ones_of_column(inputs: int, density: float) -> int:
    """The number of entries of a balanced column that are not 0.

    Args:
      inputs: length of the column.
      density: share of them.

    Returns:
      ``density * inputs``, rounded, half up.

    Raises:
      InputError: that is 0.

    >>> ones_of_column(7, 0.5)
    4
    """
    count = math.floor(density * inputs + 0.5)
    if count < 1:
        raise InputError(
            f"density={density} leaves no entry of a column of {inputs}; it must be at "
            f"least {1 / (2 * inputs):g}, or balanced=False"
        )
    return count


def ternary_matmul(x: jax.Array, t: jax.Array) -> jax.Array:
    """The product with a ternary matrix by additions and subtractions alone.

    Args:
      x: ``(..., inputs)``, floating or integer.
      t: ``(inputs, outputs)`` with entries of -1, 0 and 1.

    Returns:
      ``(..., outputs)``: for integers int32, else of the type of ``x`` with float32
      sums. A reference for
      tests: ``inputs * outputs`` numbers a row are formed.

    >>> ternary_matmul(jnp.array([3, 4], jnp.int8), jnp.array([[1], [-1]])).tolist()
    [-1]
    """
    whole = jnp.issubdtype(x.dtype, jnp.integer)
    wide = jnp.int32 if whole else accumulation_dtype(x.dtype)
    terms = x.astype(wide)[..., None]
    signs = jnp.expand_dims(t, range(x.ndim - 1))
    zero = jnp.zeros((), wide)
    plus = jnp.sum(jnp.where(signs > 0, terms, zero), axis=-2, dtype=wide)
    minus = jnp.sum(jnp.where(signs < 0, terms, zero), axis=-2, dtype=wide)
    y = plus - minus
    return y if whole else y.astype(x.dtype)


def _word(value: int) -> jax.Array:
    return jnp.asarray(value, jnp.uint32)


def _mixed(x: jax.Array) -> jax.Array:
    x = (x ^ (x >> 16)) * _word(0x7FEB352D)
    x = (x ^ (x >> 15)) * _word(0x846CA68B)
    return x ^ (x >> 16)


def _bits(seed: int, layer: int, inputs: int, outputs: int) -> jax.Array:
    step = _word(0x9E3779B9)
    start = _mixed(_mixed(_word(seed) + step) ^ _word(layer))
    rows = _mixed(start + step * jnp.arange(1, inputs + 1, dtype=jnp.uint32))
    columns = step * jnp.arange(1, outputs + 1, dtype=jnp.uint32)
    return _mixed(rows[:, None] + _mixed(columns)[None, :])
