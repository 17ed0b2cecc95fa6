"""The arrays in which one tensor of an optimizer's state is stored."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxopt_lab.core.codecs import Codec, EncodedArray
from jaxopt_lab.transforms.compressed.chunks import ChunkedOperand

# Elements handled together where no codec says how many.
_WIDTH = 256


@dataclasses.dataclass(frozen=True)
class LeafStorage:
    """The storage of one tensor: as it is, as codes, or rounded.

    Attributes:
      index: its number among the leaves of the state.
      shape: shape of the whole tensor.
      dtype: its dtype.
      codec: ``None`` for a tensor that is stored as it is.
      straight_through: keep the rounded numbers instead of the codes, so that
        derivatives pass.
      positive: give no element above zero the code of zero.
    """

    index: int
    shape: tuple[int, ...]
    dtype: Any
    codec: Codec | None = None
    straight_through: bool = False
    positive: bool = False

    @property
    def block(self) -> int:
        """Elements that must stay together, 1 if none must."""
        return 1 if self.codec is None else self.codec.block_for(self.shape)

    @property
    def coded(self) -> bool:
        """Whether it is stored as codes."""
        return self.codec is not None and not self.straight_through

    @property
    def numbers(self) -> tuple[bool, bool]:
        """Whether there are scales, and offsets, beside what is stored."""
        return _numbers(dataclasses.replace(self, index=0))

    def operands(self, stored: EncodedArray, unit: int) -> list[ChunkedOperand]:
        """Its arrays with how much of them belongs to how many elements.

        Args:
          stored: the arrays.
          unit: elements that stay together, a whole number of blocks.

        Returns:
          One for each array that there is, in order.
        """
        cut = None
        if self.coded and self.codec is not None:
            cut = self.codec.cut((self.block,), self.block)
        blocks = unit // self.block

        def tile(one: tuple[int, ...]) -> tuple[int, ...]:
            return one if blocks == 1 else (blocks, *one)

        def length_of_codes(size: int) -> int:
            if cut is None or not cut.packed:
                return size
            return -(-size // self.block) * cut.bytes_each

        if cut is None:
            return [
                ChunkedOperand(stored.qvalue, length_of_codes, (unit,), gather=True)
            ]
        codes = ChunkedOperand(
            stored.qvalue, length_of_codes, tile(cut.code_tile), gather=True
        )
        count = lambda size: -(-size // self.block)
        return [codes] + [
            ChunkedOperand(x, count, tile(cut.scale_tile))
            for x in stored[1:]
            if x is not None
        ]

    def encode(
        self,
        x: jax.Array,
        key: jax.Array | None = None,
        block_ids: jax.Array | None = None,
    ) -> EncodedArray:
        """The arrays that stand for the tensor, or for a part of it.

        Args:
          x: the part, beginning at a block.
          key: typed key for stochastic rounding.
          block_ids: numbers of its blocks in the whole tensor.

        Returns:
          What is stored.
        """
        if self.codec is None:
            return EncodedArray(x, None, None)
        if key is not None:
            key = jax.random.fold_in(key, self.index)
        options: dict[str, Any] = {
            "key": key,
            "block_ids": block_ids,
            "positive": self.positive,
        }
        if self.straight_through:
            values = self.codec.rounded(x, block=self.block, **options)
            return EncodedArray(values, None, None)
        return self.codec.encode(x, block=self.block, **options)

    def decode(self, stored: EncodedArray, shape: tuple[int, ...]) -> jax.Array:
        """The tensor, or a part of it.

        Args:
          stored: what ``encode`` gave.
          shape: shape of the part.

        Returns:
          The part in the tensor's dtype.
        """
        if not self.coded or self.codec is None:
            return stored.qvalue
        return self.codec.decode(stored, shape, self.dtype, block=self.block)

    def block_ids(self, first: Any, rows: int, row: int, size: int) -> jax.Array:
        """Numbers of the blocks of a part, in the order of the part.

        Args:
          first: element at which the part begins in each row; may be traced.
          rows: rows in which the flattened tensor is laid out.
          row: elements in one row.
          size: elements of the part in one row.

        Returns:
          uint32 ``(rows * blocks,)``.
        """
        here = jnp.arange(-(-size // self.block), dtype=jnp.uint32)
        begin = jnp.asarray(first, jnp.uint32) // jnp.uint32(self.block)
        step = jnp.uint32(row // self.block)
        starts = jnp.arange(rows, dtype=jnp.uint32) * step + begin
        return (starts[:, None] + here[None, :]).reshape(-1)


@functools.cache
def _numbers(storage: LeafStorage) -> tuple[bool, bool]:
    # Kept, because a program has hundreds of tensors of a few shapes.
    found = jax.eval_shape(
        storage.encode, jax.ShapeDtypeStruct(storage.shape, storage.dtype)
    )
    return found.scale is not None, found.offset is not None


def common_tile(storages: Sequence[LeafStorage]) -> tuple[int, ...]:
    """Shape of the elements that must stay together for all of some tensors.

    Args:
      storages: how they are stored.

    Returns:
      The tile of the coded ones where they share it, else the least common multiple
      of their blocks.
    """
    tiles = {
        (storage.codec.cut(storage.shape, storage.block).tile, storage.block)
        for storage in storages
        if storage.coded and storage.codec is not None and storage.block > 1
    }
    if not tiles:
        return (_WIDTH,)
    if len(tiles) == 1:
        tile, block = tiles.pop()
        if math.prod(tile) == block:
            return tile
    return (math.lcm(*(storage.block for storage in storages)),)
