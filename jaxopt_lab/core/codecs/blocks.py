"""Division of arrays into blocks, and shapes of their codes and scales.

Blocks are runs of consecutive elements in row-major order, so they depend on the global
shape only and never on the sharding of an array. Codes and scales keep the number of
axes of the array where possible, with the leading axes in front: a sharding of the
array along its first axis then applies to codes and scales too, and no reshape here
moves elements between devices.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core.checks import is_integer
from jaxopt_lab.core.errors import InputError

Granularity = int | Literal["row", "tensor"]
Shape = tuple[int, ...]


def check_granularity(name: str, value: Granularity) -> None:
    """Refuse anything but a positive whole number, ``"row"`` or ``"tensor"``.

    Args:
      name: name of the argument, for the message.
      value: what was given.

    Raises:
      InputError: it is none of them.
    """
    if not (is_integer(value, low=1) or value in ("row", "tensor")):
        raise InputError(
            f"{name} must be a number of elements of at least 1, 'row' or 'tensor'; "
            f"got {value!r}"
        )


def block_length(shape: Shape, granularity: Granularity) -> int:
    """Elements in one block of an array.

    Args:
      shape: shape of the whole array.
      granularity: elements that share a scale: a number of them, ``"row"`` (the
        last axis) or ``"tensor"`` (all).

    Returns:
      The number, at least 1, and at most the size of the array.

    >>> block_length((3, 100), 256), block_length((3, 5), 256)
    (256, 15)
    >>> block_length((3, 100), "row"), block_length((3, 100), "tensor")
    (100, 300)
    """
    size = math.prod(shape)
    if granularity == "row":
        return max(1, shape[-1] if shape else 1)
    return max(1, size if granularity == "tensor" else min(granularity, size))


class Blocks(NamedTuple):
    """The cut of an array of one shape into blocks of one length.

    A block is handled as a tile: ``(block,)``, or with packed codes ``(2, half)``, the
    two halves whose codes share bytes. An array that ends in tiles is its own cut.

    Attributes:
      shape: shape of the array.
      block: elements in a block; the last block may be short.
      packed: whether two codes share a byte.
      axis: the axis that the blocks cut, whole axes behind it belonging to one
        block; ``None`` if they do not come out even, and the array is flattened.
    """

    shape: Shape
    block: int
    packed: bool
    axis: int | None

    @classmethod
    def of(cls, shape: Shape, block: int, packed: bool = False) -> Blocks:
        """The cut for a shape.

        Args:
          shape: shape of the array.
          block: elements in a block.
          packed: whether two codes share a byte.

        Returns:
          The cut.

        >>> Blocks.of((24, 32), 256).scales_shape
        (3, 1)
        >>> Blocks.of((10, 30), 256).scales_shape
        (2, 1)
        """
        inner = 1
        for axis in reversed(range(len(shape))):
            if block <= inner * shape[axis]:
                even = block % inner == 0 and (inner * shape[axis]) % block == 0
                return cls(shape, block, packed, axis if even else None)
            inner *= shape[axis]
        return cls(shape, block, packed, None)

    @property
    def count(self) -> int:
        """Number of blocks."""
        return -(-math.prod(self.shape) // self.block)

    @property
    def bytes_each(self) -> int:
        """Bytes of one block of packed 4-bit codes."""
        return -(-self.block // 2)

    @property
    def tile(self) -> Shape:
        """Shape of one block."""
        return (2, self.bytes_each) if self.packed else (self.block,)

    @property
    def code_tile(self) -> Shape:
        """Shape of the codes of one block."""
        return (1, self.bytes_each) if self.packed else (self.block,)

    @property
    def scale_tile(self) -> Shape:
        """Shape of the scale of one block."""
        return (1,) * len(self.tile)

    @property
    def _inner(self) -> int:
        return math.prod(self.shape[self.axis + 1 :]) if self.axis is not None else 1

    @property
    def _before(self) -> Shape:
        """Axes of the split array before the tile."""
        if self.axis is None:
            return (self.count,)
        if self.shape[-len(self.tile) :] == self.tile:
            return self.shape[: -len(self.tile)]
        number = self.shape[self.axis] * self._inner // self.block
        return (*self.shape[: self.axis], number)

    def _trailing_ones(self, length: int) -> Shape:
        return (length,) + (1,) * (len(self.shape) - 1) if self.shape else ()

    @property
    def scales_shape(self) -> Shape:
        """Shape of what is stored once for each block."""
        if self.axis is None:
            return self._trailing_ones(self.count)
        per = self.block // self._inner
        after = (1,) * (len(self.shape) - self.axis - 1)
        return (*self.shape[: self.axis], self.shape[self.axis] // per, *after)

    @property
    def codes_shape(self) -> Shape:
        """Shape of the codes."""
        if not self.packed:
            return self.shape
        if self.axis is not None:
            before, here = self.shape[: self.axis], self.shape[self.axis]
            if self._inner == 1:
                return (*before, here // self.block * self.bytes_each)
            if (self.block // self._inner) % 2 == 0:
                return (*before, here // 2, *self.shape[self.axis + 1 :])
        return self._trailing_ones(self.count * self.bytes_each) or (self.bytes_each,)

    def split(self, x: jax.Array) -> jax.Array:
        """The array as tiles.

        Args:
          x: array of the shape.

        Returns:
          ``(..., *tile)``; what is missing in a short last block, or in the second
          half of an odd one, repeats the last element.
        """
        if self.axis is None:
            missing = self.count * self.block - x.size
            x = x.reshape(-1)
            if missing:
                x = jnp.pad(x, (0, missing), mode="edge")
        if self.packed and self.block % 2:
            x = x.reshape(*self._before, self.block)
            x = jnp.concatenate([x, x[..., -1:]], axis=-1)
        return x.reshape(*self._before, *self.tile)

    def join(self, tiles: jax.Array) -> jax.Array:
        """The array that ``split`` has cut.

        Args:
          tiles: as ``split`` gives them, of any dtype.

        Returns:
          Array of the shape.
        """
        if self.packed and self.block % 2:
            tiles = tiles.reshape(*self._before, 2 * self.bytes_each)[..., : self.block]
        if self.axis is None:
            return tiles.reshape(-1)[: math.prod(self.shape)].reshape(self.shape)
        return tiles.reshape(self.shape)

    def join_codes(self, codes: jax.Array) -> jax.Array:
        """The codes as they are stored.

        Args:
          codes: ``(..., *code_tile)``.

        Returns:
          Array of ``codes_shape``.
        """
        return codes.reshape(self.codes_shape) if self.packed else self.join(codes)

    def split_codes(self, codes: jax.Array) -> jax.Array:
        """Stored codes block by block.

        Args:
          codes: array of ``codes_shape``.

        Returns:
          ``(..., *code_tile)``.
        """
        if not self.packed:
            return self.split(codes)
        return codes.reshape(*self._before, *self.code_tile)

    def split_scales(self, scales: jax.Array) -> jax.Array:
        """Scales (one number for each block), aligned with the tiles.

        Args:
          scales: array of ``scales_shape``.

        Returns:
          ``(..., *scale_tile)``.
        """
        return scales.reshape(*self._before, *self.scale_tile)
