"""Cutting a matrix, and what belongs to it, along the side that is not projected.

Once the subspace is known every column of LDAdam's step stands by itself, and so do
the terms of the sums that the subspace is found from. So both are loops over pieces of
some columns on CPU, where nothing of the size of the matrix is needed then; see
``chunks``, whose pieces are runs of the flattened tensor and cut these columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core import loops
from jaxopt_lab.transforms.compressed.low_rank import Layout

CHUNK = 65_536
# Elements read together where no block is longer.
_RUN = 64
Arrays = Sequence[jax.Array]


class ColumnOperand(NamedTuple):
    """An array of which each column has its share.

    Attributes:
      array: the array.
      front: rows that every column crosses: 1 where columns are stored one after the
        other, else the rows of the array.
      gather: read pieces with a gather, as in ``chunks.ChunkedOperand``: for what is
        overwritten.
    """

    array: jax.Array
    front: int
    gather: bool = False


class ColumnChunks(NamedTuple):
    """The chunks of columns that a matrix is cut into.

    Attributes:
      matrix: rows and columns of the matrix as it is stored.
      left: whether its rows are projected; its columns are cut then, else its rows.
      unit: columns (or rows) that stay together, so that no block of codes is cut.
      groups: runs that are cut alike, one for each device: what is sharded along the
        cut side then stays where it is.
      step: units of a group in one piece, or 0 for the whole matrix at once.
    """

    matrix: tuple[int, int]
    left: bool
    unit: int
    groups: int
    step: int

    @classmethod
    def of(cls, layout: Layout, block: int, chunk: int | None) -> ColumnChunks:
        """The cut of the matrices of a tensor.

        Args:
          layout: how the tensor is read.
          block: consecutive elements of it that must stay together.
          chunk: elements in a piece, about; ``None`` for the whole matrix.

        Returns:
          The cut.
        """
        rows, columns = layout.matrix
        layers = math.prod(layout.shape[: layout.stacked])
        if layout.left:
            across, along, unit = rows, columns, block
        else:
            across, along, unit = columns, rows, block // math.gcd(block, columns)
        whole = cls(layout.matrix, layout.left, 1, 1, 0)
        if chunk is None or along % unit:
            return whole
        if layout.left:
            # Longer runs of memory than one column has.
            unit *= math.gcd(along // unit, -(-_RUN // unit))
        units, devices = along // unit, jax.device_count()
        groups = devices if units % devices == 0 else 1
        each = units // groups
        wanted = max(1, chunk // (across * unit * groups * layers))
        # Of matrices of several lengths pieces are alike then, and so are kernels.
        wanted = 1 << (wanted.bit_length() - 1)
        if 2 * wanted > each:
            return whole
        # What is left over after the loop would be computed by a second copy of it.
        near = range(-(-wanted // 2), wanted + wanted // 2 + 1)
        even = [n for n in near if each % n == 0]
        step = min(even, key=lambda n: abs(n - wanted)) if even else wanted
        return cls(layout.matrix, layout.left, unit, groups, step)

    @property
    def front(self) -> int:
        """``ColumnOperand.front`` of what is laid out as the tensor."""
        return self.matrix[0] if self.left else 1

    def loop(
        self,
        body: Callable[[Arrays, Arrays, Arrays], tuple[Arrays, Arrays]],
        carried: Sequence[ColumnOperand],
        read: Sequence[ColumnOperand],
        sums: Arrays,
    ) -> tuple[list[jax.Array], list[jax.Array]]:
        """Arrays updated in place and sums over columns.

        Args:
          body: ``body(carried, read, sums)`` gives new pieces of the carried arrays and
            new sums. A piece is ``(front, share of the columns)``, or the whole array.
          carried: what changes.
          read: what does not.
          sums: what is summed up, from these values on.

        Returns:
          The new arrays, shaped as the old ones, and the sums.
        """
        if not self.step:
            old, seen = ([x.array for x in some] for some in (carried, read))
            new, sums = body(old, seen, sums)
            pairs = zip(new, old, strict=True)
            return [x.reshape(y.shape) for x, y in pairs], list(sums)
        along = self.matrix[1] if self.left else self.matrix[0]
        units = along // self.unit // self.groups

        def laid_out(piece: ColumnOperand) -> jax.Array:
            # Without axes of length 1: the compiler permutes those, and then copies.
            one = () if piece.front == 1 else (piece.front,)
            some = () if self.groups == 1 else (self.groups,)
            return piece.array.reshape(*one, *some, units, -1)

        fixed = [laid_out(x) for x in read]

        def advance(first: Any, state: Any, count: int) -> Any:
            arrays, sums = state

            def taken(x: jax.Array, piece: ColumnOperand) -> jax.Array:
                axis = x.ndim - 2
                if piece.gather:
                    # Of a single run XLA would make a plain slice again.
                    parts = 2 if count == 1 and x.shape[-1] % 2 == 0 else 1
                    x = x.reshape(*x.shape[:axis], units * parts, -1)
                    numbers = first * parts + jnp.arange(count * parts)
                    at = (slice(None),) * axis + (numbers,)
                    x = x.at[at].get(
                        mode="promise_in_bounds", wrap_negative_indices=False
                    )
                else:
                    x = jax.lax.dynamic_slice_in_dim(
                        x, first, count, axis, allow_negative_indices=False
                    )
                return x.reshape(piece.front, -1)

            old = [taken(x, piece) for x, piece in zip(arrays, carried, strict=True)]
            seen = [taken(x, piece) for x, piece in zip(fixed, read, strict=True)]
            new, sums = body(old, seen, sums)
            arrays = [
                jax.lax.dynamic_update_slice_in_dim(
                    x,
                    y.reshape(*x.shape[:-2], count, x.shape[-1]),
                    first,
                    axis=x.ndim - 2,
                    allow_negative_indices=False,
                )
                for x, y in zip(arrays, new, strict=True)
            ]
            return arrays, list(sums)

        number, rest = divmod(units, self.step)
        state = loops.repeat(
            lambda i, state: advance(i * self.step, state, self.step),
            number,
            ([laid_out(x) for x in carried], list(sums)),
        )
        if rest:
            state = advance(number * self.step, state, rest)
        pairs = zip(state[0], carried, strict=True)
        return [x.reshape(piece.array.shape) for x, piece in pairs], state[1]
