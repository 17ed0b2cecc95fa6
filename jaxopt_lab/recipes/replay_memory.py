"""A memory of past examples of bounded size, filled by reservoir sampling."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core.checks import check_integer
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.pixels import to_float
from jaxopt_lab.core.typing import Batch, Scalar
from jaxopt_lab.recipes.roles import entries

REPLAY = "replay"
"""Entry of a batch with the examples that are recalled beside it."""


class Memory(NamedTuple):
    """Examples that are kept.

    Attributes:
      examples: entries of batches by name, each with a leading axis of places.
      seen: int32 scalar, examples that were offered; the first ``min(seen, places)``
        places are filled.
    """

    examples: Any
    seen: jax.Array


def empty_memory(batch: Batch, capacity: int) -> Memory:
    """A memory without examples.

    Args:
      batch: any batch, arrays with a leading axis of examples.
      capacity: places, at least 1.

    Returns:
      The memory, zeros in every place.

    Raises:
      InputError: there is no place.

    >>> empty_memory({"label": jnp.arange(3)}, 5).examples["label"].shape
    (5,)
    """
    check_integer("capacity", capacity, low=1)
    zeros = lambda x: jnp.zeros((capacity, *jnp.shape(x)[1:]), jnp.result_type(x))
    return Memory(jax.tree.map(zeros, batch), jnp.zeros((), jnp.int32))


def fixed_memory(examples: Batch) -> Memory:
    """A full memory of chosen examples, such as those of ``data.herding``.

    Args:
      examples: arrays with a leading axis of examples, at least one.

    Returns:
      The memory.

    Raises:
      InputError: there are no examples.

    >>> int(fixed_memory({"label": jnp.arange(3)}).seen)
    3
    """
    leaves = jax.tree.leaves(examples)
    count = leaves[0].shape[0] if leaves else 0
    if not count:
        raise InputError("a memory needs at least one example; got none")
    return Memory(
        jax.tree.map(jnp.asarray, examples), jnp.asarray(count, dtype=jnp.int32)
    )


def remember(key: jax.Array, memory: Memory, batch: Batch) -> Memory:
    r"""Offer the examples of a batch to a memory, one after the other.

    Example n, from 0, takes the place n while there is a free one, and then replaces a
    random example with probability m / (n + 1), m places: at any time each example seen
    is kept with the same probability (Vitter's algorithm R).

    Args:
      key: of the draws.
      memory: the memory.
      batch: examples, entries as those of the memory.

    Returns:
      The memory with them.

    Raises:
      InputError: the batch has other entries.

    >>> memory = empty_memory({"label": jnp.arange(3)}, 5)
    >>> after = remember(jax.random.key(0), memory, {"label": jnp.array([7, 8, 9])})
    >>> after.examples["label"].tolist()
    [7, 8, 9, 0, 0]
    """
    own, new = (
        jax.tree.map(lambda x: x.shape[1:], t) for t in (memory.examples, batch)
    )
    if own != new:
        raise InputError(f"the memory holds examples of shapes {own}; got {new}")
    places = jax.tree.leaves(memory.examples)[0].shape[0]
    count = jax.tree.leaves(batch)[0].shape[0]
    if not count:
        return memory
    number = memory.seen + jnp.arange(count, dtype=jnp.int32)
    drawn = jax.random.randint(key, (count,), 0, number + 1, jnp.int32)
    place = jnp.where(number < places, number, drawn)
    # Of several examples that take a place the last stays.
    winner = jnp.full((places,), -1, jnp.int32)
    winner = winner.at[place].max(jnp.arange(count, dtype=jnp.int32), mode="drop")

    def kept(old: jax.Array, new: jax.Array) -> jax.Array:
        taken = (winner >= 0).reshape((-1,) + (1,) * (old.ndim - 1))
        return jnp.where(taken, jnp.asarray(new).astype(old.dtype)[winner], old)

    examples = jax.tree.map(kept, memory.examples, batch)
    return Memory(examples, memory.seen + count)


def check_fits(memory: Memory, batch: Batch) -> None:
    """Refuse examples of other shapes than those of a memory.

    Args:
      memory: the memory.
      batch: examples.

    Raises:
      InputError: they have other entries or shapes.
    """
    shapes = lambda tree: jax.tree.map(lambda x: jnp.shape(x)[1:], tree)
    own, new = shapes(memory.examples), shapes(batch)
    if own != new:
        raise InputError(f"the memory holds examples of shapes {own}; got {new}")


def recall(key: jax.Array, memory: Memory, count: int) -> tuple[Batch, jax.Array]:
    """Random examples of a memory, with replacement.

    Args:
      key: of the draws.
      memory: the memory.
      count: examples to draw.

    Returns:
      The examples, and 1, or 0 for an empty memory, whose examples are zeros.

    >>> memory = fixed_memory({"label": jnp.array([4, 4])})
    >>> recall(jax.random.key(0), memory, 3)[0]["label"].tolist()
    [4, 4, 4]
    """
    places = jax.tree.leaves(memory.examples)[0].shape[0]
    filled = jnp.minimum(memory.seen, places)
    drawn = jax.random.randint(key, (count,), 0, jnp.maximum(filled, 1), jnp.int32)
    examples = jax.tree.map(lambda x: x[drawn], memory.examples)
    return examples, jnp.minimum(filled, 1)


def with_recalled(
    key: jax.Array, memory: Memory, batch: Batch, weight: Scalar, count: int
) -> Batch:
    """A batch with examples of the memory beside its own.

    Args:
      key: of the draws.
      memory: the memory.
      batch: a dict.
      weight: of a recalled example, where one of the batch has 1.
      count: examples to recall; 0: as many as the batch has.

    Returns:
      The batch with ``"replay"``: the examples and their weights, 0 while the memory is
      empty.

    >>> memory = fixed_memory({"label": jnp.array([4, 4])})
    >>> batch = {"label": jnp.array([1, 2, 3])}
    >>> with_recalled(jax.random.key(0), memory, batch, 0.5, 0)["replay"]["weight"]
    Array([0.5, 0.5, 0.5], dtype=float32)
    """
    number = count or jax.tree.leaves(batch)[0].shape[0]
    examples, there = recall(key, memory, number)
    weight = jnp.asarray(weight, jnp.result_type(float))
    weights = jnp.full((number,), weight * there.astype(weight.dtype))
    return {**batch, REPLAY: {"examples": examples, "weight": weights}}


def joined(
    batch: Batch, inputs: str, label: str
) -> tuple[jax.Array, jax.Array, jax.Array | None]:
    """Inputs, labels and weights of a batch and of the examples recalled beside it.

    Args:
      batch: of ``with_recalled``, or a plain one.
      inputs: entry of the inputs; integers are divided by 255.
      label: entry of the labels.

    Returns:
      The inputs, the labels, and the weights; ``None`` for those of a plain batch.

    Raises:
      InputError: an entry is missing.

    >>> joined({"x": jnp.ones(2), "y": jnp.zeros(2)}, "x", "y")[2] is None
    True
    """
    x, labels = entries(batch, inputs, label)
    x = to_float(x)
    if REPLAY not in batch:
        return x, labels, None
    other, theirs = entries(batch[REPLAY]["examples"], inputs, label)
    own = jnp.ones(labels.shape, batch[REPLAY]["weight"].dtype)
    return (
        jnp.concatenate([x, to_float(other).astype(x.dtype)]),
        jnp.concatenate([labels, theirs.astype(labels.dtype)]),
        jnp.concatenate([own, batch[REPLAY]["weight"]]),
    )


def weighted_mean(values: jax.Array, weights: jax.Array | None) -> jax.Array:
    """Mean of losses of examples.

    Args:
      values: ``(n,)``.
      weights: ``(n,)``, not all 0; ``None``: ones.

    Returns:
      A number; values of weight 0 count for nothing, NaN among them.

    >>> float(weighted_mean(jnp.array([1.0, jnp.nan]), jnp.array([2.0, 0.0])))
    1.0
    """
    if weights is None:
        return jnp.mean(values)
    weights = weights.astype(values.dtype)
    counted = jnp.where(weights == 0, 0, values) * weights
    return jnp.sum(counted) / jnp.sum(weights)
