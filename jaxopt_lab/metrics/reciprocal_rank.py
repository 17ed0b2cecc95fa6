"""Mean reciprocal rank of the first relevant document."""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp

from jaxopt_lab.core.options import COUNT, POSITIVE, check_arguments
from jaxopt_lab.core.ranked_lists import RankedLists
from jaxopt_lab.core.typing import Metrics
from jaxopt_lab.metrics.list_means import mean_over_lists, places
from jaxopt_lab.metrics.mergeable import MergeableMetric

NAME = "mean_reciprocal_rank"


def mean_reciprocal_rank(
    *,
    top: Annotated[int | None, COUNT] = None,
    least: Annotated[float, POSITIVE] = 1.0,
) -> MergeableMetric:
    """One over the rank of the first relevant document, a mean over the lists.

    Of documents with equal scores each has the last of their ranks: scores that are all
    equal are no answer.

    Args:
      top: ranks behind it count as 0; ``None``: none does.
      least: relevance from which a document is relevant.

    Returns:
      The metric of batches ``{"outputs": (B, n), "targets": (B, n)[, "weight": (B,),
      "where": (B, n)]}``; ``compute`` gives ``{"mean_reciprocal_rank"}`` in [0, 1].
      Lists without a relevant document do not count. Scores that are NaN give NaN.
      State: 2 numbers; n x n booleans of each list are made. It has no gradient.

    Raises:
      InputError: an option is out of range; at the call, an entry is missing, shapes do
        not belong together, or a relevance is negative.

    Source: Voorhees, "The TREC-8 Question Answering Track Report", 1999.

    >>> metric = mean_reciprocal_rank()
    >>> batch = {"outputs": jnp.array([[0.0, 1.0]]), "targets": jnp.array([[1, 0]])}
    >>> float(metric.compute(metric.update(metric.init(), batch))[NAME])
    0.5
    """
    check_arguments(mean_reciprocal_rank, locals())

    def values(lists: RankedLists) -> tuple[jax.Array, jax.Array]:
        relevant = lists.valid & (lists.labels >= least)
        larger, equal = places(lists)
        rank = jnp.sum(larger | equal, axis=-1).astype(lists.scores.dtype)
        first = jnp.min(jnp.where(relevant, rank, jnp.inf), axis=-1)
        found = 1 / first
        if top is not None:
            found = jnp.where(first > top, 0, found)
        return found, jnp.any(relevant, axis=-1)

    return mean_over_lists(NAME, values)


def first_is_relevant(outputs: jax.Array, targets: jax.Array) -> Metrics:
    """Share of the lists whose first document is relevant.

    Args:
      outputs: scores that differ, ``(B, n)``.
      targets: relevances, ``(B, n)``, one of each list at least 1.

    Returns:
      ``{"mean_reciprocal_rank"}``, as with the top 1.

    >>> scores, labels = jnp.array([[0.0, 1.0]]), jnp.array([[0.0, 1.0]])
    >>> float(first_is_relevant(scores, labels)[NAME])
    1.0
    """
    best = jnp.argmax(outputs, axis=-1)[:, None]
    own = jnp.take_along_axis(targets, best, axis=-1)[:, 0]
    return {NAME: jnp.mean((own >= 1).astype(outputs.dtype))}
