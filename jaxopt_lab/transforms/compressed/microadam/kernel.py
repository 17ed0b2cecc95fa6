"""One step of MicroAdam on one tensor, or on a part of whole blocks of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core import moments, trees
from jaxopt_lab.core.codecs import EncodedArray
from jaxopt_lab.core.codecs.codec import straight_through
from jaxopt_lab.core.computed_once import computed_once
from jaxopt_lab.core.platforms import traced_for
from jaxopt_lab.transforms.compressed import chunks
from jaxopt_lab.transforms.compressed.block_top_k import (
    TopBlocks,
    largest,
    picked,
    without,
)
from jaxopt_lab.transforms.compressed.microadam.scalars import WindowScalars
from jaxopt_lab.transforms.compressed.min_max import MinMax4, narrowed, widened
from jaxopt_lab.transforms.compressed.storage import LeafStorage


class LeafState(NamedTuple):
    """State of one leaf.

    Attributes:
      indices: int16 ``(blocks, window, picks)``, place of each entry in its block.
      values: the entries, zero where there is none yet; as ``narrowed`` stores them.
      error: codes of the error, two in a byte; or the rounded error itself.
      low: the minimum of each of its blocks, as ``MinMax4`` stores it, or a zero.
      high: the maximum.
    """

    indices: Any
    values: Any
    error: Any
    low: Any
    high: Any


class Kernel(NamedTuple):
    """The update of one tensor.

    Attributes:
      shape: its shape.
      dtype: the floating type it is computed in.
      window: rows of the window.
      density: picked share of a block.
      block_size: elements in a block of picks.
      codec: that of the error.
      straight_through: keep rounded numbers instead of codes and bits.
      chunk: elements updated at a time on CPU, or ``None``.
    """

    shape: tuple[int, ...]
    dtype: Any
    window: int
    density: float
    block_size: int
    codec: MinMax4
    straight_through: bool
    chunk: int | None

    @property
    def cut(self) -> TopBlocks:
        """The blocks of picks."""
        return TopBlocks.of(self.shape, self.block_size, self.density)

    @property
    def storage(self) -> LeafStorage:
        """The storage of the error."""
        return LeafStorage(0, self.shape, self.dtype, self.codec, self.straight_through)

    @property
    def unit(self) -> int:
        """Elements that must stay together."""
        return math.lcm(self.cut.block, self.storage.block)

    def joined(self, number: int) -> Kernel | None:
        """The update of several of these tensors end to end, each a block.

        Args:
          number: how many.

        Returns:
          The kernel, or ``None`` where a tensor is no block or all are no small part.
        """
        size, block = self.cut.size, self.storage.block
        vector = len(self.shape) == 1 and self.cut.count == 1 and size % block == 0
        if self.straight_through or self.chunk is None or not vector:
            return None
        if number * size > self.chunk:
            return None
        return self._replace(
            shape=(number * size,),
            block_size=size,
            codec=MinMax4(block),
            chunk=None,
        )

    def init(self) -> LeafState:
        """An empty window and no error."""
        ring = (self.cut.count, self.window, self.cut.picks)
        empty = jnp.zeros(ring, self.dtype)
        coded = self.storage.encode(
            jax.lax.optimization_barrier(jnp.zeros(self.shape, self.dtype))
        )
        return LeafState(
            jnp.zeros(ring, jnp.int16),
            empty if self.straight_through else narrowed(empty),
            coded.qvalue,
            *(jnp.zeros((), jnp.float32) if x is None else x for x in coded[1:]),
        )

    def update(
        self,
        g: jax.Array,
        p: jax.Array | None,
        stored: LeafState,
        scalars: WindowScalars,
        decays: Any,
        writes: bool,
    ) -> tuple[jax.Array, jax.Array | None, LeafState]:
        """One step.

        Args:
          g: gradient.
          p: parameter; ``None`` where nothing depends on it.
          stored: what is kept.
          scalars: those of the step.
          decays: whether this parameter decays, possibly traced.
          writes: whether the new parameter is wanted.

        Returns:
          ``(update, new parameter or None, what is kept now)``.
        """
        unit = self.unit
        picked = self.window * self.cut.picks
        blocks = lambda size: -(-size // self.cut.block) * picked
        ring_tile = (unit // self.cut.block, self.window, self.cut.picks)

        def operand(x: jax.Array) -> chunks.ChunkedOperand:
            return chunks.ChunkedOperand(x, lambda size: size, (unit,))

        def ring(x: jax.Array) -> chunks.ChunkedOperand:
            return chunks.ChunkedOperand(x, blocks, ring_tile, gather=True)

        coded = not self.straight_through
        kept = EncodedArray(
            stored.error,
            stored.low if coded else None,
            stored.high if coded else None,
        )
        error, *ranges = self.storage.operands(kept, unit)
        out = g.dtype if p is None else p.dtype
        # Zeros of several tensors of one shape would be made once and then copied, so
        # updates go over the gradient; where the fused apply makes them useless, they
        # are zeros at first, because XLA then leaves them out.
        over = not writes and out == g.dtype
        first = [
            operand(g)._replace(gather=True)
            if over
            else operand(jnp.zeros_like(g, out))
        ]
        read = [] if over else [operand(g)]
        if p is not None:
            (first if writes else read).append(operand(p))
        # What is read by several operations gets a new array: XLA would copy the old
        # one whole in every iteration.
        fresh = [x._replace(array=jnp.zeros_like(x.array)) for x in ranges]
        rings = [ring(stored.indices), ring(stored.values)]

        def body(
            carried: Sequence[jax.Array], seen: Sequence[jax.Array], part: chunks.Part
        ) -> list[jax.Array]:
            slope = carried[0] if over else seen[0]
            there = None
            if p is not None:
                there = carried[1] if writes else seen[len(read) - 1]
            indices, values, codes = carried[len(first) : len(first) + 3]
            old = kept._replace(qvalue=codes)
            if coded:
                old = EncodedArray(codes, *seen[len(read) :])
            u, ring_now, new = self._advance(
                slope, (indices, values), old, scalars, part.shape
            )
            if scalars.rate is not None and there is not None:
                rate = jnp.asarray(scalars.rate, self.dtype)
                pull = jnp.asarray(scalars.decay, self.dtype) * jnp.asarray(
                    decays, self.dtype
                )
                u = -rate * (u + pull * there.astype(self.dtype))
            u = u.astype(out)
            moved = (
                [u, trees.add_update(there, u)] if writes and there is not None else [u]
            )
            return [*moved, *ring_now, *(x for x in new if x is not None)]

        after = chunks.in_chunks(
            body,
            [*first, *rings, error, *fresh],
            [*read, *ranges],
            self.shape,
            tile=(unit,),
            chunk=chunks.even_chunk(math.prod(self.shape), unit, self.chunk),
        )
        u, *rest = after
        new = rest.pop(0) if writes else None
        if not coded:
            rest += [stored.low, stored.high]
        return u, new, LeafState(*rest)

    def _advance(
        self,
        g: jax.Array,
        ring: tuple[jax.Array, jax.Array],
        old: EncodedArray,
        scalars: WindowScalars,
        shape: tuple[int, ...],
    ) -> tuple[jax.Array, list[jax.Array], EncodedArray]:
        """Direction, window and error of a part that begins at a block."""
        narrow = jnp.finfo(g.dtype).bits < 32

        def rounded(x: jax.Array) -> jax.Array:
            """In the precision of the gradient, as the official code."""
            if not narrow:
                return x
            # XLA may leave out a conversion there and back.
            found = jnp.finfo(g.dtype)
            return jax.lax.reduce_precision(x, found.nexp, found.nmant)

        total = self._total(g, old, rounded, shape)
        cut = self.cut
        size = math.prod(shape)
        whole, last = divmod(size, cut.block)
        indices, values = (x.reshape(-1, self.window, cut.picks) for x in ring)
        pieces = []
        if whole and not last:
            pieces.append((total.reshape(whole, cut.block), slice(None), cut.picks))
        else:
            flat = total.reshape(-1)
            if whole:
                body = flat[: whole * cut.block].reshape(whole, cut.block)
                pieces.append((body, slice(0, whole), cut.picks))
            if last:
                tail = flat[whole * cut.block :].reshape(1, last)
                pieces.append((tail, slice(whole, whole + 1), cut.last_picks))
        done = [
            self._blocks(x, indices[at], values[at], picks, scalars)
            for x, at, picks in pieces
        ]
        if not done:
            return total, list(ring), old
        direction, rest, *rings = (
            x[0] if len(x) == 1 else jnp.concatenate(x)
            for x in (
                [d[0].reshape(-1) if len(done) > 1 else d[0] for d in done],
                [d[1].reshape(-1) if len(done) > 1 else d[1] for d in done],
                [d[2] for d in done],
                [d[3] for d in done],
            )
        )
        direction, rest = direction.reshape(shape), rest.reshape(shape)
        new = self.storage.encode(rest)
        if scalars.error_share is not None:
            share = jnp.asarray(scalars.error_share, self.dtype)
            kept = rounded(self.storage.decode(new, shape))
            direction = direction + share * kept
            new = self.storage.encode((1 - share) * kept)
        rings = [x.reshape(was.shape) for x, was in zip(rings, ring, strict=True)]
        return direction, rings, new

    def _total(
        self,
        g: jax.Array,
        old: EncodedArray,
        rounded: Callable[[jax.Array], jax.Array],
        shape: tuple[int, ...],
    ) -> jax.Array:
        """The gradient and the decoded error."""
        g = g.astype(self.dtype)
        storage = self.storage
        if not storage.coded:
            return rounded(g + rounded(storage.decode(old, shape)))
        cut = self.codec.cut(shape, storage.block)

        def tiles(g: jax.Array, old: EncodedArray) -> jax.Array:
            error = self.codec.tiles(old, shape, self.dtype, block=storage.block)
            return rounded(cut.split(g) + rounded(error))

        return cut.join(computed_once(tiles, g, old))

    def _blocks(
        self,
        x: jax.Array,
        indices: jax.Array,
        values: jax.Array,
        picks: int,
        scalars: WindowScalars,
    ) -> tuple[jax.Array, ...]:
        """``(direction, what is left, indices, values)`` of equal blocks."""
        rows, block = x.shape
        places = largest(x, picks)
        entries = picked(x, places)
        missing = ((0, 0), (0, values.shape[-1] - picks))
        current = (jnp.arange(self.window, dtype=jnp.int32) == scalars.row)[
            None, :, None
        ]

        def entered(old: jax.Array, new: jax.Array) -> jax.Array:
            new = jnp.pad(new, missing) if missing[1][1] else new
            return jnp.where(current, new[:, None], old)

        indices = entered(indices, places.astype(jnp.int16))
        if self.straight_through:
            rounded = widened(narrowed(entries), self.dtype)
            values = entered(values, straight_through(entries, rounded))
        else:
            values = entered(values, narrowed(entries))
        window = widened(values, self.dtype)
        where = indices.astype(jnp.int32).reshape(rows, -1)
        weights = (scalars.mean_weights, scalars.square_weights)
        powers = (window, window * window)

        def weighted(i: int) -> jax.Array:
            return (weights[i][None, :, None] * powers[i]).reshape(rows, -1)

        if traced_for(x) == "cpu":
            # XLA:CPU compiles every scatter of every tensor: one for both moments.
            pairs = jnp.stack([weighted(0), weighted(1)], axis=-1)
            sums = _added(jnp.zeros((rows, block, 2), self.dtype), where, pairs)
            mean, square = sums[..., 0], sums[..., 1]
        else:
            empty = jnp.zeros((rows, block), self.dtype)
            mean, square = (_added(empty, where, weighted(i)) for i in (0, 1))
        direction = moments.adam_direction(
            mean,
            square,
            scalars.eps,
            scalars.mean_correction,
            scalars.square_correction,
        )
        return direction, without(x, places), indices, values


def _added(to: jax.Array, places: jax.Array, values: jax.Array) -> jax.Array:
    """Rows with values added at some places of each."""
    # Mapped over the rows, so that devices that hold some of them send nothing.
    options: Any = {"mode": "promise_in_bounds", "wrap_negative_indices": False}
    return jax.vmap(lambda row, at, new: row.at[at].add(new, **options))(
        to, places, values
    )
