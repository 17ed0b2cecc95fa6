"""Means over ranked lists, as sums that are merged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.entries import check_entries
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.ranked_lists import RankedLists, ranked_lists
from jaxopt_lab.core.typing import Metrics
from jaxopt_lab.core.where import counted
from jaxopt_lab.metrics.mergeable import MergeableMetric, merge

Values = Callable[[RankedLists], tuple[jax.Array, jax.Array]]


class ListSums(NamedTuple):
    """Sums over lists.

    Attributes:
      value: scalar, weighted values of the lists that count.
      weight: scalar, their weights.
    """

    value: jax.Array
    weight: jax.Array


def mean_over_lists(name: str, values: Values) -> MergeableMetric:
    """The mean of a value of each list, as a metric.

    Batches are ``{"outputs": (B, n), "targets": (B, n)[, "weight": (B,), "where":
    (B, n)]}``: scores, relevances of at least 0, a weight of each list and which of its
    documents count.

    Args:
      name: of the value.
      values: ``values(lists) -> ((B,), (B,))``: the value of each list, and whether it
        counts.

    Returns:
      The metric; a list with a score that is NaN gives NaN. Of no list that counts
      ``compute`` gives NaN.

    >>> share = mean_over_lists("share", lambda x: (x.labels[:, 0], x.valid[:, 0]))
    >>> batch = {"outputs": jnp.zeros((2, 1)), "targets": jnp.array([[1.0], [0.0]])}
    >>> float(share.compute(share.update(share.init(), batch))["share"])
    0.5
    """

    def init(dtype: DTypeLike = jnp.float32) -> ListSums:
        return ListSums(jnp.zeros((), dtype), jnp.zeros((), dtype))

    def update(sums: ListSums, batch: Mapping[str, jax.Array]) -> ListSums:
        lists, weight = _lists(batch)
        found, counts = values(lists)
        broken = jnp.any(jnp.isnan(lists.scores), axis=-1)
        found = jnp.where(broken, jnp.nan, found)
        here = counts & counted(weight)
        dtype = sums.value.dtype
        total = jnp.sum(jnp.where(here, weight * found, 0)).astype(dtype)
        return ListSums(
            sums.value + total,
            sums.weight + jnp.sum(jnp.where(here, weight, 0)).astype(dtype),
        )

    def compute(sums: ListSums) -> Metrics:
        return {name: sums.value / sums.weight}

    return MergeableMetric(init, update, merge, compute)


def places(lists: RankedLists) -> tuple[jax.Array, jax.Array]:
    """The documents with a larger score, and those with an equal one.

    Args:
      lists: of ``ranked_lists``.

    Returns:
      ``(larger, equal)``, booleans ``(..., n, n)``: whether the column's document has a
      larger score than the row's or the same, itself included; padding has neither.

    >>> lists = ranked_lists(jnp.array([[1.0, 1.0, 3.0]]), jnp.zeros((1, 3)))
    >>> larger, equal = places(lists)
    >>> larger.sum(axis=-1).tolist(), equal.sum(axis=-1).tolist()
    ([[1, 1, 0]], [[2, 2, 1]])
    """
    s, seen = lists.scores, lists.valid[..., None, :]
    own, other = s[..., :, None], s[..., None, :]
    return (other > own) & seen, (other == own) & seen


def _lists(batch: Mapping[str, jax.Array]) -> tuple[RankedLists, jax.Array]:
    check_entries(batch, ("outputs", "targets"))
    scores, labels = batch["outputs"], batch["targets"]
    if jnp.ndim(scores) != 2:
        raise InputError(
            "outputs must be scores of shape (lists, documents); got "
            f"{jnp.shape(scores)}"
        )
    weight, where = batch.get("weight"), batch.get("where")
    count = jnp.shape(scores)[:1]
    if weight is None:
        weight = jnp.ones(count)
    if jnp.shape(weight) != count:
        raise InputError(
            f"weight must have shape {count}, one number per list; got "
            f"{jnp.shape(weight)}"
        )
    # Padding may hold anything.
    seen = jnp.broadcast_to(counted(weight, 2), jnp.shape(scores))
    if where is not None and jnp.shape(where) == jnp.shape(scores):
        where = seen & counted(where)
    lists = ranked_lists(
        scores, labels, seen if where is None else where, names=("outputs", "targets")
    )
    return lists, jnp.asarray(weight, lists.scores.dtype)
