"""Mean average precision of ranked lists."""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp

from jaxopt_lab.core.options import POSITIVE, check_arguments
from jaxopt_lab.core.ranked_lists import RankedLists
from jaxopt_lab.core.typing import Metrics
from jaxopt_lab.metrics.list_means import mean_over_lists, places
from jaxopt_lab.metrics.mergeable import MergeableMetric


def mean_average_precision(
    *, least: Annotated[float, POSITIVE] = 1.0
) -> MergeableMetric:
    r"""Precision at the ranks of the relevant documents, a mean over these and lists.

    .. math:: \frac{1}{|R|} \sum_{i \in R} \frac{
        |\{j \in R: s_j \ge s_i\}|}{|\{j: s_j \ge s_i\}|}

    of the relevant documents R of a list. Documents of equal scores are taken together.

    Args:
      least: relevance from which a document is relevant.

    Returns:
      The metric of batches ``{"outputs": (B, n), "targets": (B, n)[, "weight": (B,),
      "where": (B, n)]}``; ``compute`` gives ``{"mean_average_precision"}`` in [0, 1].
      Lists without a relevant document do not count. Scores that are NaN give NaN.
      State: 2 numbers; n x n booleans of each list are made. It has no gradient.

    Raises:
      InputError: an option is out of range; at the call, an entry is missing, shapes do
        not belong together, or a relevance is negative.

    Source: Manning, Raghavan and Schutze, "Introduction to Information Retrieval",
    section 8.4, 2008.

    >>> metric, scores = mean_average_precision(), jnp.array([[3.0, 2.0, 1.0]])
    >>> batch = {"outputs": scores, "targets": jnp.array([[1, 0, 1]])}
    >>> value = metric.compute(metric.update(metric.init(), batch))
    >>> f"{value['mean_average_precision']:.3f}"
    '0.833'
    """
    check_arguments(mean_average_precision, locals())

    def values(lists: RankedLists) -> tuple[jax.Array, jax.Array]:
        relevant = lists.valid & (lists.labels >= least)
        larger, equal = places(lists)
        above = larger | equal
        dtype = lists.scores.dtype
        hits = jnp.sum(above & relevant[..., None, :], axis=-1).astype(dtype)
        depth = jnp.maximum(jnp.sum(above, axis=-1), 1).astype(dtype)
        total = jnp.sum(jnp.where(relevant, hits / depth, 0), axis=-1)
        count = jnp.sum(relevant, axis=-1).astype(dtype)
        return total / jnp.maximum(count, 1), count > 0

    return mean_over_lists("mean_average_precision", values)


def rank_of_the_relevant(
    outputs: jax.Array, targets: jax.Array, least: float = 1.0
) -> Metrics:
    """One over the rank of the relevant document, if each list has one.

    Args:
      outputs: scores, ``(B, n)``.
      targets: relevances, ``(B, n)``, one of each list at least ``least``.
      least: relevance from which a document is relevant.

    Returns:
      ``{"mean_average_precision"}``.

    >>> scores, labels = jnp.array([[0.0, 1.0]]), jnp.array([[1.0, 0.0]])
    >>> float(rank_of_the_relevant(scores, labels)["mean_average_precision"])
    0.5
    """
    own = jnp.sum(jnp.where(targets >= least, outputs, 0), axis=-1, keepdims=True)
    rank = jnp.sum(outputs >= own, axis=-1).astype(outputs.dtype)
    return {"mean_average_precision": jnp.mean(1 / rank)}
