"""LDAdam on one tensor: what is kept of it, and its step."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core import moments, trees
from jaxopt_lab.core.codecs import Cast, Codec, QArray
from jaxopt_lab.transforms.compressed import low_rank
from jaxopt_lab.transforms.compressed.ldadam import kernel as ldadam_kernel
from jaxopt_lab.transforms.compressed.ldadam.chunks import Arrays, Cut, Piece
from jaxopt_lab.transforms.compressed.ldadam.kernel import (
    How,
    Search,
    Sided,
    StepScalars,
    Turn,
)
from jaxopt_lab.transforms.compressed.low_rank import Layout
from jaxopt_lab.transforms.compressed.min_max import MinMax4
from jaxopt_lab.transforms.compressed.storage import LeafStorage

Error = Literal["float32", "bfloat16", "4-bit", "none"]


class LeafState(NamedTuple):
    """State of one leaf."""

    projector: Any
    mu: Any
    nu: Any
    error: Any
    low: Any
    high: Any


class StepSize(NamedTuple):
    """The size of a step of a parameter.

    Attributes:
      rate: the learning rate.
      pull: the weight decay, 0 where there is none.
    """

    rate: jax.Array
    pull: jax.Array


class Leaf(NamedTuple):
    """How one leaf is treated.

    Attributes:
      layout: as which matrices it is read.
      dtype: the floating type it is computed in.
      low_rank: whether it is projected.
      rank: columns of the basis, at most.
      error: how the error is kept.
      how: how the subspace is found.
      straight_through: keep a rounded error as numbers.
      chunk: elements updated at a time on CPU, or ``None``.
    """

    layout: Layout
    dtype: Any
    low_rank: bool
    rank: int
    error: Error
    how: How
    straight_through: bool
    chunk: int | None

    def storage(self, shape: tuple[int, ...]) -> LeafStorage:
        """How the error of the tensor, or of whole blocks of it, is stored."""
        codec: Codec | None = {
            "float32": None,
            "bfloat16": Cast("bfloat16"),
            "4-bit": MinMax4(64),
            "none": None,
        }[self.error]
        return LeafStorage(0, shape, self.dtype, codec, self.straight_through)

    @property
    def feeds_back(self) -> bool:
        """Whether there is an error."""
        return self.low_rank and self.error != "none"

    @property
    def ranged(self) -> bool:
        """Whether the error has ranges."""
        codes = self.error == "4-bit" and not self.straight_through
        return self.feeds_back and codes

    def init(self, param: jax.Array) -> LeafState:
        """What is kept before the first step.

        Args:
          param: the parameter.

        Returns:
          Zeros and a basis.
        """
        # One for each place: a buffer can be given away once only.
        nothing = lambda: jnp.zeros((), jnp.float32)
        if not self.low_rank:
            rest = (nothing() for _ in range(3))
            return LeafState(
                nothing(), moments.zeros(param), moments.zeros(param), *rest
            )
        p, q = self.layout.sides
        rank = min(self.rank, p)
        before = self.layout.shape[: self.layout.stacked]
        basis = low_rank.starting_basis(p, rank, self.dtype)
        basis = jnp.broadcast_to(basis, (*before, p, rank))
        moment = lambda: jnp.zeros((*before, rank, q), self.dtype)
        error = QArray(nothing(), None, None)
        if self.feeds_back:
            empty = moments.zeros(param)
            storage = self.storage(self.layout.shape[self.layout.stacked :])
            if storage.codec is not None:
                empty = jnp.zeros(self.layout.shape, self.dtype)
                # XLA would compute the codes while it compiles, slowly.
                empty = jax.lax.optimization_barrier(empty)
            error = (jax.vmap(storage.encode) if before else storage.encode)(empty)
        ranges = (nothing() if x is None else x for x in error[1:])
        return LeafState(basis, moment(), moment(), error.qvalue, *ranges)

    def update(
        self,
        g: jax.Array,
        kept: LeafState,
        p: jax.Array | None,
        scalars: StepScalars,
        decays: Any = True,
        writes: bool = False,
    ) -> tuple[jax.Array, LeafState, jax.Array | None]:
        """One step.

        Args:
          g: gradient.
          kept: state of the leaf.
          p: parameter; ``None`` gives the direction itself.
          scalars: those of the step.
          decays: whether the parameter decays, possibly traced.
          writes: whether the new parameter is wanted.

        Returns:
          ``(update, new state, new parameter or None)``.
        """
        size = None
        if scalars.rate is not None and scalars.decay is not None:
            pull = jnp.asarray(scalars.decay, self.dtype)
            size = StepSize(
                jnp.asarray(scalars.rate, self.dtype),
                pull * jnp.asarray(decays, self.dtype),
            )
        if self.low_rank:
            return self._matrices(g, p, kept, scalars, size, writes)
        u, mu, nu = moments.adam_step(
            g,
            kept.mu,
            kept.nu,
            scalars.count + 1,
            scalars.b1,
            scalars.b2,
            scalars.eps,
        )
        u = self._sized(u, p, size, g.dtype)
        new = trees.add_update(p, u) if writes and p is not None else None
        return u, kept._replace(mu=mu, nu=nu), new

    def _sized(
        self, u: jax.Array, p: jax.Array | None, size: StepSize | None, dtype: Any
    ) -> jax.Array:
        """The update of a direction."""
        if size is None or p is None:
            return u.astype(dtype)
        return (-size.rate * (u + size.pull * p.astype(self.dtype))).astype(p.dtype)

    def _matrices(
        self,
        g: jax.Array,
        p: jax.Array | None,
        kept: LeafState,
        scalars: StepScalars,
        size: StepSize | None,
        writes: bool,
    ) -> tuple[jax.Array, LeafState, jax.Array | None]:
        """The step of each of the stacked matrices."""
        layers = self.layout.shape[: self.layout.stacked]
        idle = {
            name: getattr(kept, name)
            for name, used in (
                ("error", self.feeds_back),
                ("low", self.ranged),
                ("high", self.ranged),
            )
            if not used
        }

        def one(g: Any, p: Any, kept: LeafState) -> Any:
            return _Matrix(self, scalars, size, writes).step(g, p, kept)

        used = kept._replace(**dict.fromkeys(idle))
        flat = lambda x: x.reshape(*layers, -1)
        used = used._replace(
            **{
                name: flat(getattr(kept, name))
                for name in ("error", "low", "high")
                if name not in idle
            }
        )
        matrix = lambda x: x.reshape(*layers, *self.layout.matrix)
        given = (matrix(g), None if p is None else matrix(p), used)
        u, new, now = (jax.vmap(one) if layers else one)(*given)
        now = now._replace(**idle)
        now = jax.tree.map(lambda x, was: x.reshape(was.shape), now, kept)
        new = None if new is None else new.reshape(g.shape)
        return u.reshape(g.shape), now, new


class _Matrix(NamedTuple):
    """The step of one matrix."""

    leaf: Leaf
    scalars: StepScalars
    size: StepSize | None
    writes: bool

    def step(
        self, g: jax.Array, p: jax.Array | None, kept: LeafState
    ) -> tuple[jax.Array, jax.Array | None, LeafState]:
        """``(update, new parameter or None, what is kept now)``."""
        leaf, scalars = self.leaf, self.scalars
        sided = Sided(leaf.layout.left)
        block = leaf.storage(leaf.layout.matrix).block if leaf.feeds_back else 1
        cut = Cut.of(leaf.layout, block, leaf.chunk)
        rank = kept.mu.shape[0]
        operand = lambda x, gather=False: Piece(x, cut.front, gather)
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

        before = ldadam_kernel.corrections(scalars, leaf.dtype)[0]
        old = kept.projector

        def products(basis: jax.Array, past: jax.Array) -> tuple[jax.Array, jax.Array]:
            turned, towards = basis.T @ old, sided.towards(basis)

            def body(_: Arrays, seen: Arrays, sums: Arrays) -> tuple[Arrays, Arrays]:
                slope, mu, *stored = seen
                x, mean = total(slope, stored), ldadam_kernel.corrected(mu, before)
                w = past * (turned @ mean) + (1 - past) * sided.onto(x, towards)
                inner = mean @ ldadam_kernel.transposed(w)
                return [], [sums[0] + inner, sums[1] + sided.of(x, w)]

            read = [operand(g), Piece(kept.mu, rank), *map(operand, coded)]
            nothing = [jnp.zeros_like(turned), jnp.zeros_like(sided.back(basis))]
            inner, outer = cut.loop(body, [], read, nothing)[1]
            return inner, outer if sided.left else outer.T

        def whole(past: jax.Array) -> jax.Array:
            mean = ldadam_kernel.corrected(kept.mu, before)
            x = total(g, coded)
            x = x if sided.left else x.T
            return past * (old @ mean) + (1 - past) * x

        projector = Search(old, products, whole).basis(scalars, leaf.how)
        turn = Turn.of(projector, old, scalars.b1, sided)
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
            Piece(kept.mu, rank, True),
            Piece(kept.nu, rank, True),
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
            u, rest, mu, nu = ldadam_kernel.advance(x, mu, nu, turn, scalars, sided)
            u = leaf._sized(u, there, self.size, out)
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
