"""Batches in equal parts, and the weights of the parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.known_values import known_values
from jaxopt_lab.core.typing import Batch, PyTree

# The key of a batch, or a function of it, that gives the weights of its examples.
Weights = str | Callable[[Batch], jax.Array]


def num_examples(batch: Batch, use: str) -> int:
    """The common leading axis of a batch, its number of examples.

    Args:
      batch: tree of arrays.
      use: noun for what needs the axis, for the message.

    Returns:
      A Python integer.

    Raises:
      InputError: the leaves do not share a leading axis.
    """
    sizes = sorted({jnp.shape(x)[:1] for x in jax.tree.leaves(batch)})
    if len(sizes) != 1 or sizes[0] == ():
        raise InputError(
            f"for {use} the leaves of a batch must share their leading axis, the "
            f"examples; got leading axes {sizes}"
        )
    return sizes[0][0]


def split_batch(batch: Batch, parts: int, what: str = "parts") -> Batch:
    """A batch with its leading axis cut in two: ``(parts, examples / parts, ...)``.

    Args:
      batch: tree of arrays with a common leading axis; typed keys allowed.
      parts: number of parts, at least 1.
      what: noun for the error message.

    Returns:
      The reshaped tree; part j holds consecutive examples.

    Raises:
      InputError: the leaves do not share their leading axis, or the number of examples
        is not a multiple of ``parts``.
    """
    if parts < 1:
        raise InputError(f"the number of {what} must be at least 1; got {parts}")
    examples = num_examples(batch, what)
    if examples % parts:
        raise InputError(
            f"a batch of {examples} examples cannot be cut into {parts} equal {what}; "
            f"their number must divide {examples}"
        )
    return jax.tree.map(
        lambda x: x.reshape(parts, examples // parts, *x.shape[1:]), batch
    )


def total_weight(weights: Weights | None, batch: Batch) -> jax.Array | None:
    """The sum of the weights of a batch or a part of one.

    Args:
      weights: key of the batch, or function of it, that gives a number for each example
        (or each token of each); ``None``: all weigh the same.
      batch: the batch or the part.

    Returns:
      Scalar, float32, or float64 where jax has it on; ``None`` for ``None``.

    Raises:
      InputError: the batch has no such key, or the weights are no real numbers, or,
        outside of ``jit``, one is negative; inside of it the sum is then NaN.

    >>> float(total_weight("mask", {"mask": jnp.array([True, False, True])}))
    2.0
    """
    if weights is None:
        return None
    return jnp.sum(_found(weights, batch), dtype=jnp.result_type(float))


def example_weights(weights: Weights | None, batch: Batch) -> jax.Array | None:
    """The weight of each example, those of its tokens summed.

    Args:
      weights: as of ``total_weight``.
      batch: the batch or the part.

    Returns:
      ``(examples,)``, dtype and errors as ``total_weight``; ``None`` for ``None``.

    >>> example_weights("mask", {"mask": jnp.ones((2, 3))}).tolist()
    [3.0, 3.0]
    """
    if weights is None:
        return None
    found = _found(weights, batch)
    axes = tuple(range(1, found.ndim))
    return jnp.sum(found, axes, dtype=jnp.result_type(float))


def _found(weights: Weights, batch: Batch) -> jax.Array:
    if callable(weights):
        found: Any = weights(batch)
    elif isinstance(batch, Mapping) and weights in batch:
        found = batch[weights]
    else:
        kind = list(batch) if isinstance(batch, Mapping) else type(batch).__name__
        raise InputError(
            f"weights={weights!r} must be a key of the batch, or a function of it; "
            f"got a batch of {kind}"
        )
    dtype = getattr(found, "dtype", None)
    kinds = (jnp.floating, jnp.integer, jnp.bool_)
    if dtype is None or not any(jnp.issubdtype(dtype, kind) for kind in kinds):
        kind = type(found).__name__ if dtype is None else dtype
        raise InputError(f"weights must be an array of real numbers; got {kind}")
    if jnp.issubdtype(dtype, jnp.bool_):
        return found
    known = known_values(found)
    if known is not None and np.any(known < 0):
        raise InputError(
            f"weights of examples must be at least 0; got {np.min(known):.6g}"
        )
    found = jnp.asarray(found)
    if not jnp.issubdtype(dtype, jnp.floating):
        found = found.astype(jnp.result_type(float))
    # Inside of jit nothing can be refused; a run stops where a loss is not finite.
    return jnp.where(found < 0, jnp.nan, found)


def weighed(tree: PyTree, factor: jax.Array | None) -> PyTree:
    """The floating leaves times a factor; what has the factor 0 counts as 0.

    Args:
      tree: arrays; leaves of no floating type stay.
      factor: scalar, or ``None`` for 1. The mean over a mask of nothing is 0/0: with
        the factor 0 a NaN is dropped.

    Returns:
      The tree, in its own dtypes.
    """
    if factor is None:
        return tree

    def one(x: jax.Array) -> jax.Array:
        if not trees.is_floating(x):
            return x
        wide = trees.wide_dtype(x.dtype)
        empty = (factor == 0) & ~jnp.isfinite(x)
        kept = jnp.where(empty, jnp.zeros_like(x), x)
        return (factor.astype(wide) * kept.astype(wide)).astype(x.dtype)

    return jax.tree.map(one, tree)


def share(part: jax.Array | None, whole: jax.Array | None, n: int) -> Any:
    """``n * part / whole``, the factor of a part in a mean over n parts.

    Args:
      part: weight of the part, or ``None``.
      whole: weight of all of them, or ``None``.
      n: number of parts.

    Returns:
      Scalar; ``None`` where there are no weights.
    """
    return None if part is None or whole is None else part * n / whole
