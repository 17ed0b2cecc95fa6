"""Locality-sensitive hashing: tables of hyperplanes, and the buckets of points."""
# Its examples wait for pytest --full.

from __future__ import annotations

import functools
import operator
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

Family = Literal["sign", "pstable"]


class HashTables(NamedTuple):
    """The hyperplanes of several tables.

    Attributes:
      planes: ``(tables, bits, features)``, normals.
      shifts: ``(tables, bits)`` in [0, 1), offsets in widths of a bucket; the sign
        family does not read them.
    """

    planes: jax.Array
    shifts: jax.Array


def draw_hash_tables(
    key: jax.Array, tables: int, bits: int, features: int, dtype: jax.typing.DTypeLike
) -> HashTables:
    """Tables with normal hyperplanes and uniform shifts.

    Args:
      key: typed PRNG key.
      tables: number of tables.
      bits: hyperplanes of each.
      features: of the points.
      dtype: of the numbers.

    Returns:
      The tables.

    >>> draw_hash_tables(jax.random.key(0), 2, 3, 5, jnp.float32).planes.shape
    (2, 3, 5)
    """
    one, two = jax.random.split(key)
    planes = jax.random.normal(one, (tables, bits, features), dtype)
    return HashTables(planes, jax.random.uniform(two, (tables, bits), dtype))


def hash_codes(
    x: jax.Array, hashes: HashTables, family: Family, width: jax.Array | float
) -> jax.Array:
    r"""The codes of points, one number a hyperplane.

    Args:
      x: ``(n, features)``, floating.
      hashes: the tables.
      family: ``"sign"``: :math:`[a \cdot x \ge 0]`; ``"pstable"``:
        :math:`\lfloor (a \cdot x + u w) / w \rfloor` with the shift u.
      width: w.

    Returns:
      ``(tables, bits, n)``, whole numbers in the type of the points.

    >>> hashes = HashTables(jnp.ones((1, 1, 1)), jnp.full((1, 1), 0.5))
    >>> x = jnp.array([[-3.0], [0.0], [1.0]])
    >>> [hash_codes(x, hashes, f, 2.0).ravel().tolist() for f in ("sign", "pstable")]
    [[0.0, 1.0, 1.0], [-1.0, 0.0, 1.0]]
    """
    planes, shifts = (jnp.asarray(h, x.dtype) for h in hashes)
    products = jnp.einsum("tbf,nf->tbn", planes, x, precision=jax.lax.Precision.HIGHEST)
    if family == "sign":
        return (products >= 0).astype(x.dtype)
    width = jnp.asarray(width, x.dtype)
    return jnp.floor((products + (shifts * width)[..., None]) / width)


def bucket_numbers(codes: jax.Array) -> jax.Array:
    """Numbers of the buckets: equal where all codes of a table are.

    Args:
      codes: ``(tables, bits, n)``, at least one bit.

    Returns:
      ``(tables, n)`` int32, from 0 on; exact, whatever the number of bits.

    >>> bucket_numbers(jnp.array([[[0.0, 1.0, 0.0], [5.0, 5.0, 5.0]]])).tolist()
    [[0, 1, 0]]
    """

    def refine(numbers: jax.Array, code: jax.Array) -> tuple[jax.Array, None]:
        order = jnp.lexsort((code, numbers))
        first, second = numbers[order], code[order]
        new = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
        ranks = jnp.cumsum(jnp.concatenate([jnp.zeros(1, bool), new]), dtype=jnp.int32)
        return jnp.zeros_like(numbers).at[order].set(ranks), None

    def of_table(table: jax.Array) -> jax.Array:
        start = jnp.zeros(table.shape[1], jnp.int32)
        return jax.lax.scan(refine, start, table)[0]

    return jax.lax.map(of_table, codes)


def share_bucket(rows: jax.Array, points: jax.Array) -> jax.Array:
    """Whether rows and points share a bucket in some table.

    Args:
      rows: buckets, ``(tables, n)``.
      points: buckets, ``(tables, m)``.

    Returns:
      Booleans ``(n, m)``; no array of all tables is made.

    >>> share_bucket(jnp.array([[0], [1]]), jnp.array([[0, 1], [2, 2]])).tolist()
    [[True, False]]
    """
    table = functools.partial(jax.lax.index_in_dim, axis=0, keepdims=False)
    equal = (
        table(rows, t)[:, None] == table(points, t)[None] for t in range(len(rows))
    )
    return functools.reduce(operator.or_, equal)
