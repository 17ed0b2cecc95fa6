"""The interface of all codecs: an array as small codes and a few scales."""

from __future__ import annotations

import abc
import dataclasses
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxopt_lab.core import trees
from jaxopt_lab.core.codecs import packing
from jaxopt_lab.core.codecs.blocks import (
    Blocks,
    Granularity,
    Shape,
    block_length,
    check_granularity,
)
from jaxopt_lab.core.division import quotient


class EncodedArray(NamedTuple):
    """An array as a codec stores it; only the codec knows what the codes stand for.

    ``jaxopt_lab.core.qarray.QArray`` is the array on an equally spaced grid.

    Attributes:
      qvalue: unsigned integers (``Cast``: or floats), of the shape of the array or,
        packed two to a byte, of about half its size.
      scale: one number for each block, or ``None``; float32, for a float64 array
        float64.
      offset: a second number for each block, or ``None``.
    """

    qvalue: jax.Array
    scale: jax.Array | None
    offset: jax.Array | None


class Range(NamedTuple):
    """Reference values of the codes of a block, each ``(..., 1)`` or ``None``."""

    scale: jax.Array | None
    offset: jax.Array | None


@dataclasses.dataclass(frozen=True)
class Codec(abc.ABC):
    """Interface of the codecs; immutable, so that they can be shared and compared.

    A subclass says how the range of a block is found (``range_of``) and how elements
    become codes and back (``to_codes``, ``from_codes``); blocks, packing, dtypes and
    randomness are dealt with here. Integer codes have no derivative.

    Attributes:
      block: elements that share a scale: a number of consecutive ones, ``"row"``
        (the last axis) or ``"tensor"``.
    """

    block: Granularity = 256

    packed: ClassVar[bool] = False
    """Whether two codes share a byte."""
    continuous: ClassVar[bool] = False
    """Whether codes are floats, which have a derivative."""

    def __post_init__(self) -> None:
        check_granularity("block", self.block)

    @abc.abstractmethod
    def range_of(self, x: jax.Array) -> Range:
        """The range of every block.

        Args:
          x: tiles, float32 or float64; ``self.axes`` are those of a tile.

        Returns:
          Arrays of the same dtype, with axes of length 1 instead of those of a tile.
        """

    @abc.abstractmethod
    def to_codes(self, x: jax.Array, at: Range, noise: jax.Array | None) -> jax.Array:
        """The code of every element.

        Args:
          x: elements, float32 or float64.
          at: the range of their blocks, broadcastable.
          noise: ``None`` for the nearest code; or uniform numbers in [0, 1) of the
            shape of ``x``, to choose between the two neighbours without bias.

        Returns:
          Unsigned integers of the shape of ``x``.
        """

    @abc.abstractmethod
    def from_codes(self, codes: jax.Array, at: Range, dtype: DTypeLike) -> jax.Array:
        """The value of every code.

        Args:
          codes: as ``to_codes`` gives them.
          at: the range of their blocks, broadcastable.
          dtype: float32 or float64.

        Returns:
          Values in ``dtype``.
        """

    def zero_code(self, at: Range) -> Any:
        """The code of zero in every block, to which the next one is the next value.

        Args:
          at: the range of the blocks.

        Returns:
          An ``int``, or whole floats that may be out of the range of codes,
          broadcastable; ``None`` where no code stands for zero.
        """
        del at
        return None

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes of one tile, from the end."""
        return (-2, -1) if self.packed else (-1,)

    def block_for(self, shape: Shape) -> int:
        """Elements in one block of a whole array.

        Args:
          shape: its shape.

        Returns:
          The number.
        """
        return block_length(shape, self.block)

    def encode(
        self,
        x: jax.Array,
        *,
        block: int | None = None,
        key: jax.Array | None = None,
        block_ids: jax.Array | None = None,
        positive: bool = False,
    ) -> EncodedArray:
        """An array as codes.

        Args:
          x: floating array of any shape.
          block: elements in a block; ``None`` for ``block_for`` of the shape. Give
            the number for the whole array when ``x`` is a part of it.
          key: typed key for stochastic rounding; ``None`` rounds to the nearest.
          block_ids: with ``key``, the number of each block in the whole array, in
            order: the randomness of a block depends on its number, not on the part
            that it is encoded with.
          positive: give an element above zero the smallest code above zero, at least:
            for what is divided by.

        Returns:
          Codes and scales.
        """
        cut = self.cut(x.shape, block)
        wide = cut.split(x.astype(trees.accumulation_dtype(x.dtype)))
        if not self.continuous:
            # A derivative through the scales alone would be a small and misleading part
            # of the whole derivative.
            wide = jax.lax.stop_gradient(wide)
        at = self.range_of(wide)
        noise = None
        if key is not None:
            if block_ids is None:
                block_ids = jnp.arange(cut.count, dtype=jnp.uint32)
            noise = _noise(key, block_ids, wide)
        codes = self.to_codes(wide, at, noise)
        zero = self.zero_code(at) if positive else None
        if zero is not None:
            found = codes if isinstance(zero, int) else codes.astype(zero.dtype)
            next_ = codes + np.asarray(1, codes.dtype)
            codes = jnp.where((wide > 0) & (found == zero), next_, codes)
        stored = (None if r is None else r.reshape(cut.scales_shape) for r in at)
        return EncodedArray(
            cut.join_codes(packing.pack(codes) if self.packed else codes), *stored
        )

    def decode(
        self,
        coded: EncodedArray,
        shape: Shape,
        dtype: DTypeLike,
        *,
        block: int | None = None,
    ) -> jax.Array:
        """The array that codes stand for.

        Args:
          coded: as ``encode`` gives it.
          shape: shape of the array.
          dtype: its dtype.
          block: elements in a block, as for ``encode``.

        Returns:
          The array. Differentiable in the scales and offsets.
        """
        return self.cut(shape, block).join(self.tiles(coded, shape, dtype, block=block))

    def tiles(
        self,
        coded: EncodedArray,
        shape: Shape,
        dtype: DTypeLike,
        *,
        block: int | None = None,
    ) -> jax.Array:
        """``decode`` before the blocks are joined.

        Args:
          coded: as for ``decode``, as are the others.
          shape: shape of the array.
          dtype: its dtype.
          block: elements in a block.

        Returns:
          The tiles of ``self.cut(shape, block)``.
        """
        cut = self.cut(shape, block)
        numbers = (coded.scale, coded.offset)
        at = Range(*(None if x is None else cut.split_scales(x) for x in numbers))
        codes = cut.split_codes(coded.qvalue)
        if self.packed:
            codes = packing.unpack(codes)
        wide = trees.accumulation_dtype(dtype)
        return self.from_codes(codes, at, wide).astype(dtype)

    def cut(self, shape: Shape, block: int | None = None) -> Blocks:
        """The division of an array into blocks.

        Args:
          shape: its shape.
          block: elements in a block; ``None`` for ``block_for`` of the shape.

        Returns:
          The cut.
        """
        length = self.block_for(shape) if block is None else block
        return Blocks.of(shape, length, self.packed)

    def rounded(
        self,
        x: jax.Array,
        *,
        block: int | None = None,
        key: jax.Array | None = None,
        block_ids: jax.Array | None = None,
        positive: bool = False,
    ) -> jax.Array:
        """Encode and decode ``x`` with a straight-through derivative.

        Args:
          x: floating array.
          block: as for ``encode``.
          key: typed key for stochastic rounding; ``None`` rounds to the nearest.
          block_ids: as for ``encode``.
          positive: as for ``encode``.

        Returns:
          The rounded array, same shape and dtype; its derivative is the identity
          ("straight through").
        """
        coded = self.encode(
            x, block=block, key=key, block_ids=block_ids, positive=positive
        )
        value = self.decode(coded, x.shape, x.dtype, block=block)
        return straight_through(x, jax.lax.stop_gradient(value))


@jax.custom_jvp
def straight_through(x: jax.Array, value: jax.Array) -> jax.Array:
    """``value``, with the derivative of ``x``.

    Args:
      x: differentiated in the backward pass.
      value: returned in the forward pass; same shape and dtype.

    Returns:
      Exactly ``value``: ``x + (value - x)`` would round it.
    """
    del x
    return value


@straight_through.defjvp
def _straight_through_jvp(primals, tangents):
    return primals[1], tangents[0]


def _noise(key: jax.Array, block_ids: jax.Array, like: jax.Array) -> jax.Array:
    """Uniform numbers that depend on the key and the number of the block only."""
    ids = jnp.asarray(block_ids, jnp.uint32).reshape(-1)
    size = like.size // max(1, ids.size)

    def draw(i: jax.Array) -> jax.Array:
        return jax.random.uniform(jax.random.fold_in(key, i), (size,), like.dtype)

    return jax.vmap(draw)(ids).reshape(like.shape)


def absmax(x: jax.Array, axes: tuple[int, ...]) -> jax.Array:
    """Largest magnitude of every block; NaN if there is one.

    Args:
      x: tiles.
      axes: axes of a tile.

    Returns:
      The maxima in the dtype of ``x``, with axes of length 1.
    """
    return jnp.max(jnp.abs(x), axis=axes, keepdims=True)


def relative(x: jax.Array, scale: jax.Array) -> jax.Array:
    """``x / scale``, and 0 in a block of zeros or of subnormal numbers.

    Args:
      x: elements.
      scale: their scale, not negative, one for each block.

    Returns:
      The quotients in the dtype of ``x``, rounded once: codes of numbers that share
      few digits, as those of bfloat16, are ties often.
    """
    zero = scale < jnp.finfo(scale.dtype).tiny
    return quotient(x, jnp.where(zero, jnp.full_like(scale, jnp.inf), scale))
