"""One step of LDAdam on one matrix of a leaf."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core import trees
from jaxopt_lab.core.platforms import traced_for
from jaxopt_lab.transforms.compressed.ldadam import kernel as ldadam_kernel
from jaxopt_lab.transforms.compressed.ldadam.chunks import (
    Arrays,
    ColumnChunks,
    ColumnOperand,
)
from jaxopt_lab.transforms.compressed.ldadam.kernel import (
    BasisChange,
    MatmulLayout,
    StepScalars,
    SubspaceIteration,
)
from jaxopt_lab.transforms.compressed.ldadam.options import LeafOptions, StepSize


class LeafState(NamedTuple):
    """State of one leaf."""

    projector: Any
    mu: Any
    nu: Any
    error: Any
    low: Any
    high: Any


class Matrix(NamedTuple):
    """The step of one matrix."""

    leaf: LeafOptions
    scalars: StepScalars
    size: StepSize | None
    writes: bool

    def step(
        self, g: jax.Array, p: jax.Array | None, kept: LeafState
    ) -> tuple[jax.Array, jax.Array | None, LeafState]:
        """``(update, new parameter or None, what is kept now)``."""
        leaf, scalars = self.leaf, self.scalars
        sided = MatmulLayout(leaf.layout.left)
        block = leaf.storage(leaf.layout.matrix).block if leaf.feeds_back else 1
        chunk = leaf.chunk if traced_for(g, kept) == "cpu" else None
        cut = ColumnChunks.of(leaf.layout, block, chunk)
        rank = kept.mu.shape[0]
        operand = lambda x, gather=False: ColumnOperand(x, cut.front, gather)
        coded = [x for x in (kept.error, kept.low, kept.high) if x is not None]

        def total(slope: jax.Array, stored: Arrays) -> jax.Array:
            """Gradient and error as a matrix."""
            x = self._matrix(slope).astype(leaf.dtype)
            if not stored:
                return x
            storage = leaf.storage(x.shape)
            wanted, structure = jax.tree.flatten(jax.eval_shape(storage.encode, x))
            shaped = [y.reshape(z.shape) for y, z in zip(stored, wanted, strict=True)]
            return x + storage.decode(jax.tree.unflatten(structure, shaped), x.shape)

        shared = scalars.moments.astype(leaf.dtype)
        old = kept.projector

        def products(basis: jax.Array, past: jax.Array) -> tuple[jax.Array, jax.Array]:
            turned, towards = basis.T @ old, sided.towards(basis)

            def body(_: Arrays, seen: Arrays, sums: Arrays) -> tuple[Arrays, Arrays]:
                slope, mu, *stored = seen
                x, mean = total(slope, stored), mu * shared.mean
                w = past * (turned @ mean) + (1 - past) * sided.onto(x, towards)
                inner = mean @ ldadam_kernel.transposed(w)
                return [], [sums[0] + inner, sums[1] + sided.of(x, w)]

            read = [operand(g), ColumnOperand(kept.mu, rank), *map(operand, coded)]
            nothing = [jnp.zeros_like(turned), jnp.zeros_like(sided.back(basis))]
            inner, outer = cut.loop(body, [], read, nothing)[1]
            return inner, outer if sided.left else outer.T

        def whole(past: jax.Array) -> jax.Array:
            mean = kept.mu * shared.mean
            x = total(g, coded)
            x = x if sided.left else x.T
            return past * (old @ mean) + (1 - past) * x

        projector = SubspaceIteration(old, products, whole).basis(
            scalars, leaf.projector
        )
        turn = BasisChange.of(projector, old, shared.ratio, sided)
        out = g.dtype if p is None else p.dtype
        # As in microadam_kernel: updates go over the gradient, or are zeros that XLA
        # leaves out; and ranges get new arrays.
        over = not self.writes and out == g.dtype
        first = [operand(g, True) if over else operand(jnp.zeros_like(g, out))]
        read = [] if over else [operand(g)]
        if p is not None:
            (first if self.writes else read).append(operand(p))
        ranges = [operand(x) for x in coded[1:]]
        carried = [
            *first,
            ColumnOperand(kept.mu, rank, True),
            ColumnOperand(kept.nu, rank, True),
            *(operand(x, True) for x in coded[:1]),
            *(x._replace(array=jnp.zeros_like(x.array)) for x in ranges),
        ]

        def body(now: Arrays, seen: Arrays, sums: Arrays) -> tuple[Arrays, Arrays]:
            slope = now[0] if over else seen[0]
            there = None
            if p is not None:
                there = self._matrix(now[1] if self.writes else seen[len(read) - 1])
            mu, nu, *stored = now[len(first) :]
            x = total(slope, [*stored[:1], *seen[len(read) :]])
            u, rest, mu, nu = ldadam_kernel.advance(x, mu, nu, turn, shared, sided)
            u = leaf.sized(u, there, self.size, out)
            moved = [u]
            if self.writes and there is not None:
                moved.append(trees.add_update(there, u))
            new: list[jax.Array] = []
            if coded:
                found = leaf.storage(rest.shape).encode(rest)
                new = [y for y in found if y is not None]
            return [*moved, mu, nu, *new], sums

        after, _ = cut.loop(body, carried, [*read, *ranges], [])
        u, *rest = after
        new = rest.pop(0) if self.writes and p is not None else None
        mu, nu, *stored = rest
        error, low, high = (*stored, None, None, None)[:3]
        return u, new, LeafState(projector, mu, nu, error, low, high)

    def _matrix(self, x: jax.Array) -> jax.Array:
        """A piece of something laid out as the tensor, as a matrix."""
        rows, columns = self.leaf.layout.matrix
        return x.reshape(rows, -1) if self.leaf.layout.left else x.reshape(-1, columns)
