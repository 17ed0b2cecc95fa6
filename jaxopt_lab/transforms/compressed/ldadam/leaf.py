"""LDAdam of one leaf: its state, and its step."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxopt_lab.core import moments, trees
from jaxopt_lab.core.codecs import EncodedArray
from jaxopt_lab.transforms.compressed import low_rank
from jaxopt_lab.transforms.compressed.ldadam.kernel import StepScalars
from jaxopt_lab.transforms.compressed.ldadam.matrix import LeafState, Matrix
from jaxopt_lab.transforms.compressed.ldadam.options import LeafOptions, StepSize


class Leaf(LeafOptions):
    """LDAdam of one leaf, a ``LeafMethod``."""

    __slots__ = ()

    def init(self, param: jax.Array) -> LeafState:
        """The state before the first step.

        Args:
          param: the parameter.

        Returns:
          Zeros and a basis.
        """
        # One for each place: a buffer can be donated once only.
        nothing = lambda: jnp.zeros((), jnp.float32)
        if not self.low_rank:
            rest = (nothing() for _ in range(3))
            return LeafState(
                nothing(), moments.zeros(param), moments.zeros(param), *rest
            )
        p, q = self.layout.sides
        # A gradient has no more directions than its shorter side; the coefficients of
        # others would be rounding errors, of which Adam makes full steps.
        rank = min(self.rank, p, q)
        before = self.layout.shape[: self.layout.stacked]
        basis = low_rank.starting_basis(p, rank, self.dtype)
        basis = jnp.broadcast_to(basis, (*before, p, rank))
        moment = lambda: jnp.zeros((*before, rank, q), self.dtype)
        error = EncodedArray(nothing(), None, None)
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
        adam = scalars.moments.astype(self.dtype).adam
        u, mu, nu = adam.step(g, kept.mu, kept.nu)
        u = self.sized(u, p, size, g.dtype)
        new = trees.add_update(p, u) if writes and p is not None else None
        return u, kept._replace(mu=mu, nu=nu), new

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
            return Matrix(self, scalars, size, writes).step(g, p, kept)

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
