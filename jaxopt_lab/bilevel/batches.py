"""The batches of a loop as a function of its step."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import Batch

BatchAt = Callable[[jax.Array], Batch]


class Batches(NamedTuple):
    """The batches of a loop.

    Attributes:
      n: their number.
      at: ``at(stacked, t)``, the batch of step ``t``.
      stacked: the arrays, or ``()``.
    """

    n: int
    at: Callable[[Batch, jax.Array], Batch]
    stacked: Batch


def resolve(batches_or_n: Batch | int, batch_at: BatchAt | None) -> Batches:
    """The number of steps and the batch of each.

    Arrays are sliced inside the step by its index: as inputs of nested scans they
    would be reshaped, and each level would store a copy of its part.

    Args:
      batches_or_n: arrays (or ``jax.ShapeDtypeStruct``) with a common leading axis, or
        the number of steps.
      batch_at: with a number, the batch of step ``t``; without it, ``t`` is the batch.

    Returns:
      The batches.

    Raises:
      InputError: there is no step; leading axes differ (named); ``batch_at`` with
        arrays.
    """
    n = _whole_number(batches_or_n)
    if n is not None:
        if n < 1:
            raise InputError(f"batches_or_n must be at least 1 step; got {n}")
        given = batch_at or (lambda t: t)
        return Batches(n, lambda _, t: given(t), ())
    if batch_at is not None:
        raise InputError(
            "batch_at goes with a number of steps; got it beside stacked arrays"
        )

    def at(stacked: Batch, t: jax.Array) -> Batch:
        pick = functools.partial(jax.lax.dynamic_index_in_dim, keepdims=False)
        return jax.tree.map(lambda x: pick(jnp.asarray(x), t, 0), stacked)

    return Batches(_common_length(batches_or_n), at, batches_or_n)


def _whole_number(x: Any) -> int | None:
    if isinstance(x, bool | jax.Array | np.ndarray):
        return None
    try:
        return operator.index(x)
    except TypeError:
        return None


def _common_length(batches: Batch) -> int:
    found = jax.tree.leaves_with_path(batches)
    if not found:
        raise InputError("batches_or_n has no arrays; give the number of steps instead")
    lengths = {}
    for path, x in found:
        shape = jnp.shape(x)
        name = trees.path_name(path) or "the array"
        if not shape:
            raise InputError(
                "batches_or_n must be a Python integer or arrays with a leading axis "
                f"of steps; {name} is a scalar"
            )
        lengths[name] = shape[0]
    if len(set(lengths.values())) > 1:
        listed = trees.summary([f"{name}: {n}" for name, n in lengths.items()])
        raise InputError(f"batches_or_n must have one leading axis; got {listed}")
    length = next(iter(lengths.values()))
    if length < 1:
        raise InputError("batches_or_n must hold at least 1 step; got 0")
    return length
