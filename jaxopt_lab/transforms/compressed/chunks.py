"""Updating tensors in place, a chunk at a time.

On XLA:CPU whole-tensor formulas with decoded moments keep several float32 copies of
every tensor alive at once, more than plain AdamW. A loop over chunks that carries the
tensors and writes each chunk back where it came from needs temporaries of the size of
a chunk, and is faster, since they stay in the cache. On a GPU a loop of small kernels
is slow and the whole-tensor form fuses well, so there is none. On a TPU the blocks of
a whole matrix are another shape, which is stored in another order: several copies of
every tensor; there the loop is over runs of columns, of one block of each row, or,
where a block is a row or several, over runs of rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core.platforms import traced_for, traced_mesh

CHUNK = 65_536
_TILE_ROWS = 32
_TILE_COLUMNS = 128
Shape = tuple[int, ...]


class ChunkedOperand(NamedTuple):
    """One of the arrays that belong to a tensor, to be cut in chunks.

    Attributes:
      array: the array.
      length: how many of its entries belong to how many elements of the tensor.
      tile: shape of the entries that belong to one unit of elements.
      gather: read chunks with a gather instead of a slice. XLA fuses a slice into each
        use; if one use follows the write-back, it copies the whole array in every
        iteration.
    """

    array: jax.Array
    length: Callable[[int], int]
    tile: Shape
    gather: bool = False


class Part(NamedTuple):
    """The place of a part of a tensor.

    Attributes:
      shape: shape of the part.
      rows: rows in which the flattened tensor is laid out.
      row: elements in one row.
      first: element at which the part begins in each row; may be traced.
    """

    shape: Shape
    rows: int
    row: int
    first: Any

    @property
    def size(self) -> int:
        """Elements of the part in one row."""
        return math.prod(self.shape) // self.rows


Body = Callable[[Sequence[jax.Array], Sequence[jax.Array], Part], Sequence[jax.Array]]


def rows_for(size: int, unit: int) -> int:
    """Rows that a flattened tensor is laid out in.

    With as many rows as there are devices, a tensor that is sharded along its first
    axis keeps its sharding, and a loop that slices every row alike moves nothing
    between devices. Chunks then are other sets of blocks, and the numbers the same.

    Args:
      size: elements of the tensor.
      unit: elements that must stay together.

    Returns:
      The number of devices, or 1 if rows of that number would cut a block.
    """
    devices = jax.device_count()
    return devices if size and size % (devices * unit) == 0 else 1


def even_chunk(size: int, unit: int, chunk: int | None) -> int | None:
    """Elements in a chunk, such that no unit is left over where that is possible.

    Writing what is left over after the loop costs a second copy of what it writes.

    Args:
      size: elements of the tensor.
      unit: elements that must stay together.
      chunk: elements in a chunk, at most; ``None`` for no chunks.

    Returns:
      The number, no less than a quarter of ``chunk``; or ``chunk`` itself.

    >>> even_chunk(720 * jax.device_count(), 1, 500 * jax.device_count()) % 360
    0
    """
    if chunk is None or size < unit:
        return chunk
    rows = rows_for(size, unit)
    units = size // rows // unit
    wanted = max(1, min(units, chunk // rows // unit))
    least = -(-wanted // 4)
    even = [n for n in range(least, wanted + 1) if units % n == 0]
    return even[-1] * unit * rows if even else chunk


def in_chunks(
    body: Body,
    carried: Sequence[ChunkedOperand],
    read: Sequence[ChunkedOperand],
    shape: Shape,
    *,
    tile: Shape,
    chunk: int | None,
) -> list[jax.Array]:
    """New values of some arrays, computed chunk by chunk where that is better.

    Args:
      body: ``body(carried, read, part)`` gives new values for parts of the carried
        arrays. Every part begins at a whole number of tiles.
      carried: arrays that change; they are updated in place where they may be.
      read: arrays that are only read.
      shape: shape of the tensor that the arrays belong to.
      tile: shape of a unit, the elements that must stay together.
      chunk: elements in a chunk, about; ``None`` for no chunks.

    Returns:
      The new arrays, shaped as the old ones.
    """
    size, unit = math.prod(shape), math.prod(tile)
    rows = rows_for(size, unit)
    row = size // rows
    step = 0 if chunk is None else max(1, chunk // rows // unit) * unit
    old, seen = [x.array for x in carried], [x.array for x in read]
    if chunk is not None and _by_columns(shape, unit, (old, seen)):
        return _in_columns(body, carried, read, shape, tile)
    runs = 1
    if chunk is not None and len(tile) == 1:
        runs = _runs_of_rows([*old, *seen], shape, unit, chunk)
    if runs > 1:
        return _in_runs_of_rows(body, carried, read, shape, runs)
    number = row // step if step and traced_for(old, seen) == "cpu" else 0
    if number < 2:
        return list(body(old, seen, Part(shape, 1, size, 0)))

    # An axis for the blocks keeps what belongs to a block in one vectorised loop;
    # without it every element looks its scale up by itself.
    tiled = row % unit == 0

    def laid_out(operand: ChunkedOperand) -> jax.Array:
        tail = (-1, *operand.tile) if tiled else (-1,)
        return operand.array.reshape(rows, *tail)

    def width(operand: ChunkedOperand, elements: int) -> int:
        return elements // unit if tiled else operand.length(elements)

    def part(elements: int, first: Any) -> Part:
        inner = (elements // unit, *tile) if tiled else (elements,)
        return Part((rows, *inner), rows, row, first)

    fixed = [laid_out(x) for x in read]

    def advance(
        arrays: Sequence[jax.Array], at: Any, begin: int, elements: int
    ) -> list[jax.Array]:
        """One part, at ``at`` times ``begin`` elements."""

        def piece(x: jax.Array, operand: ChunkedOperand) -> jax.Array:
            start = at * width(operand, begin)
            if operand.gather:
                numbers = start + jnp.arange(width(operand, elements))
                return x.at[:, numbers].get(
                    mode="promise_in_bounds", wrap_negative_indices=False
                )
            return jax.lax.dynamic_slice_in_dim(
                x, start, width(operand, elements), axis=1, allow_negative_indices=False
            )

        old = [piece(x, operand) for x, operand in zip(arrays, carried, strict=True)]
        seen = [piece(x, operand) for x, operand in zip(fixed, read, strict=True)]
        new = body(old, seen, part(elements, at * begin))
        return [
            jax.lax.dynamic_update_slice_in_dim(
                x,
                y.reshape(was.shape),
                at * width(operand, begin),
                axis=1,
                allow_negative_indices=False,
            )
            for x, y, was, operand in zip(arrays, new, old, carried, strict=True)
        ]

    arrays = [laid_out(x) for x in carried]
    arrays = jax.lax.fori_loop(
        0, number, lambda i, arrays: advance(arrays, i, step, step), arrays
    )
    rest = row - number * step
    if rest:
        arrays = advance(arrays, 1, number * step, rest)
    return [
        x.reshape(operand.array.shape)
        for x, operand in zip(arrays, carried, strict=True)
    ]


def _by_columns(shape: Shape, unit: int, arrays: Any) -> bool:
    """Whether a tensor is cut into runs of columns, on a TPU.

    Not on a mesh of several axes, over one of which the columns of a parameter may be
    divided: with one axis, only its rows are.
    """
    mesh = traced_mesh(arrays)
    if traced_for(arrays) != "tpu" or (mesh is not None and len(mesh.axis_names) > 1):
        return False
    several = len(shape) > 1 and shape[-1] % unit == 0 and shape[-1] > unit
    # Of a few rows a piece would be too small to be worth a turn of the loop.
    return several and math.prod(shape[:-1]) >= unit


def _in_columns(
    body: Body,
    carried: Sequence[ChunkedOperand],
    read: Sequence[ChunkedOperand],
    shape: Shape,
    tile: Shape,
) -> list[jax.Array]:
    """``in_chunks`` with pieces of one unit of each row, or of a few.

    A TPU stores matrices in tiles of some rows and columns. Any other shape of the
    same elements is a copy of them, a piece of whole columns is not. Codes of less
    than a byte have few columns: of pieces that are no whole tile the compiler for a
    v5p turns the whole array around, twice in every turn of the loop.
    """
    unit = math.prod(tile)
    rows, row = math.prod(shape[:-1]), shape[-1]
    several = _units((*carried, *read), row // unit)
    number = row // unit // several

    def columns(operand: ChunkedOperand) -> int:
        return several * math.prod(operand.tile)

    def laid_out(operand: ChunkedOperand) -> jax.Array:
        return operand.array.reshape(rows, number * columns(operand))

    def piece(x: jax.Array, operand: ChunkedOperand, i: jax.Array) -> jax.Array:
        width = columns(operand)
        x = jax.lax.dynamic_slice_in_dim(x, i * width, width, axis=1)
        return x.reshape(rows, *((several,) if several > 1 else ()), *operand.tile)

    fixed = [laid_out(x) for x in read]

    def advance(i: jax.Array, arrays: list[jax.Array]) -> list[jax.Array]:
        old = [piece(x, operand, i) for x, operand in zip(arrays, carried, strict=True)]
        seen = [piece(x, operand, i) for x, operand in zip(fixed, read, strict=True)]
        inner = (several, *tile) if several > 1 else tile
        new = body(old, seen, Part((rows, *inner), rows, row, i * several * unit))
        return [
            jax.lax.dynamic_update_slice_in_dim(
                x, y.reshape(rows, -1), i * columns(operand), axis=1
            )
            for x, y, operand in zip(arrays, new, carried, strict=True)
        ]

    arrays = jax.lax.fori_loop(0, number, advance, [laid_out(x) for x in carried])
    return [
        x.reshape(operand.array.shape)
        for x, operand in zip(arrays, carried, strict=True)
    ]


def _units(operands: Sequence[ChunkedOperand], number: int) -> int:
    """Of a row's units, the fewest with which codes fill whole tiles; 1: none do."""
    widths = [math.prod(x.tile) for x in operands]
    narrow = [n for n in widths if 1 < n < _TILE_COLUMNS]
    wanted = max(
        (_TILE_COLUMNS // math.gcd(n, _TILE_COLUMNS) for n in narrow), default=1
    )
    return wanted if number % wanted == 0 else 1


def _runs_of_rows(
    arrays: Sequence[jax.Array], shape: Shape, unit: int, chunk: int
) -> int:
    """Number of runs of rows that a tensor on one TPU is cut into; 1: it is whole.

    The shortest that are no shorter than a chunk, made of whole units and, where that
    is possible, of whole tiles of the TPU, whose bytes lie in 32 rows.
    """
    mesh, size = traced_mesh(arrays), math.prod(shape)
    alone = mesh is None or mesh.size == 1
    if size <= chunk or not alone or traced_for(arrays) != "tpu":
        return 1
    common = math.gcd(shape[0], *(x.shape[0] if x.ndim else 1 for x in arrays))
    fitting = [
        n
        for n in range(1, common + 1)
        if common % n == 0 and size // n % unit == 0 and size // n >= chunk
    ]
    tiles = [n for n in fitting if shape[0] // n % _TILE_ROWS == 0]
    return max(tiles or fitting, default=1)


def _in_runs_of_rows(
    body: Body,
    carried: Sequence[ChunkedOperand],
    read: Sequence[ChunkedOperand],
    shape: Shape,
    number: int,
) -> list[jax.Array]:
    """``in_chunks`` with pieces of some rows of each array, which lie together."""
    inner = (shape[0] // number, *shape[1:])
    size = math.prod(inner)

    def piece(x: jax.Array, i: jax.Array) -> jax.Array:
        rows = x.shape[0] // number
        return jax.lax.dynamic_slice_in_dim(x, i * rows, rows, axis=0)

    def advance(i: jax.Array, arrays: list[jax.Array]) -> list[jax.Array]:
        old = [piece(x, i) for x in arrays]
        seen = [piece(x.array, i) for x in read]
        new = body(old, seen, Part(inner, 1, size, i * size))
        return [
            jax.lax.dynamic_update_slice_in_dim(
                x, y.reshape(was.shape), i * was.shape[0], axis=0
            )
            for x, y, was in zip(arrays, new, old, strict=True)
        ]

    return jax.lax.fori_loop(0, number, advance, [x.array for x in carried])
