"""One step of APOLLO on one matrix."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core import moments, trees
from jaxopt_lab.core.typing import Scalar
from jaxopt_lab.transforms.compressed.low_rank import Layout

ScaleGranularity = Literal["channel", "tensor"]


class StepScalars(NamedTuple):
    """The hyper-parameters at one step.

    Attributes:
      count: int32, number of the step, from 1.
      b1: decay of the first moment.
      b2: decay of the second.
      eps: added to the root.
      scale: factor of the direction.
      growth: by which factor it may be longer than the last.
      key: typed key that every projection is drawn from.
      refresh: int32, number of the projection.
    """

    count: jax.Array
    b1: Scalar
    b2: Scalar
    eps: Scalar
    scale: Scalar
    growth: Scalar
    key: jax.Array
    refresh: jax.Array


class LeafState(NamedTuple):
    """State of one leaf.

    Attributes:
      mu: first moment, of the projected gradient where it is projected.
      nu: second.
      norm: of the last direction, before ``scale``; 0: no limit.
    """

    mu: jax.Array
    nu: jax.Array
    norm: jax.Array


def projection(
    key: jax.Array, refresh: Any, index: int, shape: tuple[int, ...], dtype: Any
) -> jax.Array:
    """The random projection of one matrix.

    Args:
      key: that of the state.
      refresh: number of the projection, ``count // gap``.
      index: which of the projected leaves.
      shape: ``(rank, p)``, or ``(layers, rank, p)``.
      dtype: floating type of the result.

    Returns:
      Independent normal entries of variance 1 / rank. Drawn in float32 whatever the
      type, so that it is the same in float32 and float64.
    """
    key = jax.random.fold_in(jax.random.fold_in(key, refresh), index)
    draw = jax.random.normal(key, shape, jnp.float32)
    return draw.astype(dtype) / jnp.sqrt(jnp.asarray(shape[-2], dtype))


class Dense(NamedTuple):
    """Adam of a leaf that is not projected, a ``LeafMethod``."""

    def init(self, leaf: jax.Array) -> LeafState:
        zeros = moments.zeros
        return LeafState(zeros(leaf), zeros(leaf), jnp.zeros((), jnp.float32))

    def update(
        self, g: jax.Array, state: LeafState, p: None, scalars: StepScalars
    ) -> tuple[jax.Array, LeafState]:
        del p
        u, mu, nu = moments.adam_step(g, state.mu, state.nu, *scalars[:4])
        return u.astype(g.dtype), state._replace(mu=mu, nu=nu)


class Matrix(NamedTuple):
    """APOLLO of a tensor as a matrix, or as a stack of them, a ``LeafMethod``.

    Attributes:
      layout: how it is read.
      rank: rows of the projection, at most.
      granularity: whether each column has a factor, or the whole.
      index: which of the projected leaves.
    """

    layout: Layout
    rank: int
    granularity: ScaleGranularity
    index: int

    def init(self, leaf: jax.Array) -> LeafState:
        dtype = trees.accumulation_dtype(leaf.dtype)
        front, (side, other) = leaf.shape[: self.layout.stacked], self.layout.sides
        inside = (*front, min(self.rank, side), other)
        zeros = (jnp.zeros(shape, dtype) for shape in (inside, inside, front))
        return LeafState(*zeros)

    def update(
        self, g: jax.Array, state: LeafState, p: None, scalars: StepScalars
    ) -> tuple[jax.Array, LeafState]:
        del p
        (mu, nu, norm), scale, growth = state, scalars.scale, scalars.growth
        dtype = mu.dtype
        axes = (-2,) if self.granularity == "channel" else (-2, -1)
        full = self.layout.read(g.astype(dtype))
        shape = (*mu.shape[:-1], self.layout.sides[0])
        basis = projection(scalars.key, scalars.refresh, self.index, shape, dtype)
        small = basis @ full
        adapted, mu, nu = moments.adam_step(small, mu, nu, *scalars[:4])
        u = full * trees.safe_divide(_norm(adapted, axes), _norm(small, axes))
        length = _norm(u, (-2, -1))
        most = jnp.asarray(growth, dtype) * norm[..., None, None]
        limited = (norm[..., None, None] > 0) & (length > most)
        # An infinite limit must not meet the quotient, whose derivative is no number.
        shrink = trees.safe_divide(jnp.where(limited, most, length), length)
        u = u * jnp.where(limited, shrink, jnp.ones_like(shrink))
        norm = jnp.where(limited, most, length)[..., 0, 0]
        u = self.layout.write(jnp.asarray(scale, dtype) * u)
        return u.astype(g.dtype), LeafState(mu, nu, norm)


def _norm(x: jax.Array, axes: tuple[int, ...]) -> jax.Array:
    return trees.safe_sqrt(jnp.sum(x * x, axes, keepdims=True))
