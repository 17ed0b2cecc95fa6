"""How a gradient and the entries of a buffer become one."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp

from jaxopt_lab.core import errors
from jaxopt_lab.core.typing import Scalar, Updates
from jaxopt_lab.transforms.memory.buffer import PriorityBuffer
from jaxopt_lab.transforms.memory.slots import Rank

AggregateName: TypeAlias = Literal[
    "sum",
    "mid",
    "mean",
    "min",
    "median",
    "max",
    "min-mean",
    "median-mean",
    "max-mean",
    "replace",
]


def check_aggregate(name: str) -> AggregateName:
    """``name`` itself, if it is an aggregation.

    Args:
      name: the name given.

    Returns:
      The same name.

    Raises:
      InputError: it is unknown.
    """
    if name not in get_args(AggregateName):
        raise errors.unknown("aggregate", name, get_args(AggregateName))
    return name  # type: ignore[return-value]


def rank_of(name: AggregateName) -> Rank | None:
    """The rank of the one entry that an aggregation uses, if it uses only one.

    Args:
      name: the aggregation.

    Returns:
      ``"min"``, ``"median"``, ``"max"``, or ``None``.

    >>> rank_of("max-mean"), rank_of("mean")
    ('max', None)
    """
    first = name.partition("-")[0]
    return first if first in get_args(Rank) else None  # type: ignore[return-value]


def _weights(
    name: AggregateName, size: jax.Array, kappa: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Factors of the gradient and of the sum of the entries (or of the chosen one)."""
    one = jnp.ones_like(kappa)
    entries = jnp.maximum(size, 1).astype(kappa.dtype)
    # Half of a gradient that is alone would be another optimizer than the plain one.
    alone = (size == 0) | (kappa == 0)
    if name == "sum":
        return one, kappa / entries
    if name == "mean":
        number = jnp.where(alone, 1, size.astype(kappa.dtype) + 1)
        return 1 / number, kappa / number
    if name == "replace":
        return jnp.where(alone, 1, 0 * one), kappa / entries
    half = jnp.where(alone, 1, 0.5 * one)
    if name == "mid":
        return half, half * kappa / entries
    return (half, half * kappa) if name.endswith("-mean") else (one, kappa)


def combine(
    name: AggregateName, new: Updates, buffer: PriorityBuffer, kappa: Scalar
) -> Updates:
    """The aggregate of a new gradient and a buffer.

    Args:
      name: the aggregation; see ``critical_gradients``.
      new: the gradient.
      buffer: the buffer, without it.
      kappa: weight of the buffer; at 0, and while the buffer is empty, the result is
        ``new``.

    Returns:
      A tree like ``new``, float32 or better.
    """
    stored = buffer.total if rank_of(name) is None else buffer.chosen

    def one(g: jax.Array, s: jax.Array) -> jax.Array:
        weight = jnp.asarray(kappa, s.dtype)
        ours, theirs = _weights(name, buffer.size, weight)
        # A weight of 0 keeps a NaN in the gradient visible.
        return ours * g.astype(s.dtype) + theirs * s

    return jax.tree.map(one, new, stored)
