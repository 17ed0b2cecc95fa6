"""One step of APOLLO on one matrix."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core import moments, trees
from jaxopt_lab.core.typing import Scalar
from jaxopt_lab.transforms.compressed.low_rank import Layout

Granularity = Literal["channel", "tensor"]


class StepScalars(NamedTuple):
    """The scalars of one step of Adam.

    Attributes:
      count: int32, number of the step, from 1.
      b1: decay of the first moment.
      b2: decay of the second.
      eps: added to the root.
    """

    count: jax.Array
    b1: Scalar
    b2: Scalar
    eps: Scalar


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


class Matrix(NamedTuple):
    """A tensor as a matrix, or as a stack of them.

    Attributes:
      layout: how it is read.
      granularity: whether each column has a factor, or the whole.
    """

    layout: Layout
    granularity: Granularity

    def step(
        self,
        g: jax.Array,
        mu: jax.Array,
        nu: jax.Array,
        norm: jax.Array,
        p: jax.Array,
        adam: StepScalars,
        scale: Scalar,
        growth: Scalar,
    ) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
        """One step.

        Args:
          g: gradient of the tensor.
          mu: first moment of the projected gradient.
          nu: second.
          norm: norm of the last direction, before ``scale``; 0: no limit.
          p: projection.
          adam: the scalars of Adam.
          scale: factor of the direction.
          growth: by which factor it may be longer than the last.

        Returns:
          ``(direction, first moment, second moment, norm)``.
        """
        dtype = mu.dtype
        axes = (-2,) if self.granularity == "channel" else (-2, -1)
        full = self.layout.read(g.astype(dtype))
        small = p @ full
        adapted, mu, nu = moments.adam_step(small, mu, nu, *adam)
        u = full * trees.safe_divide(_norm(adapted, axes), _norm(small, axes))
        length = _norm(u, (-2, -1))
        most = jnp.asarray(growth, dtype) * norm[..., None, None]
        limited = (norm[..., None, None] > 0) & (length > most)
        # An infinite limit must not meet the quotient, whose derivative is no number.
        shrink = trees.safe_divide(jnp.where(limited, most, length), length)
        u = u * jnp.where(limited, shrink, jnp.ones_like(shrink))
        norm = jnp.where(limited, most, length)[..., 0, 0]
        u = self.layout.write(jnp.asarray(scale, dtype) * u)
        return u.astype(g.dtype), mu, nu, norm


def _norm(x: jax.Array, axes: tuple[int, ...]) -> jax.Array:
    return trees.safe_sqrt(jnp.sum(x * x, axes, keepdims=True))
