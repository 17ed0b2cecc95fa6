"""NDCG: the discounted gain of ranked lists over the largest one."""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp

from jaxopt_lab.core.options import COUNT, check_arguments
from jaxopt_lab.core.ranked_lists import RankedLists, discounts, gains, ideal_gain
from jaxopt_lab.core.typing import Metrics
from jaxopt_lab.metrics.list_means import mean_over_lists, places
from jaxopt_lab.metrics.mergeable import MergeableMetric


def ndcg(*, top: Annotated[int | None, COUNT] = None) -> MergeableMetric:
    r"""Discounted gain of the documents by falling score, over the largest one.

    .. math::
        \frac{\mathrm{DCG}}{\max \mathrm{DCG}}, \qquad
        \mathrm{DCG} = \sum_{r \le k} \frac{2^{y_{(r)}} - 1}{\log_2(1 + r)},

    with the relevance :math:`y_{(r)}` of the document at rank r, a mean over the lists.
    Documents of equal scores share the mean of their discounts, which is the mean over
    all orders of them.

    Args:
      top: k; ``None``: all documents count.

    Returns:
      The metric of batches ``{"outputs": (B, n), "targets": (B, n)[, "weight": (B,),
      "where": (B, n)]}``; ``compute`` gives ``{"ndcg"}`` in [0, 1]. Lists whose
      documents are all irrelevant do not count. Scores that are NaN give NaN. State: 2
      numbers; n x n booleans of each list are made. It has no useful gradient.

    Raises:
      InputError: ``top`` is not a whole number of at least 1; at the call, an entry is
        missing, shapes do not belong together, or a relevance is negative.

    Source: Jarvelin and Kekalainen, "Cumulated gain-based evaluation of IR techniques",
    2002, with the gains of Burges et al., 2005.

    >>> metric = ndcg()
    >>> batch = {"outputs": jnp.array([[0.0, 1.0]]), "targets": jnp.array([[1, 0]])}
    >>> f"{metric.compute(metric.update(metric.init(), batch))['ndcg']:.3f}"
    '0.631'
    """
    check_arguments(ndcg, locals())

    def values(lists: RankedLists) -> tuple[jax.Array, jax.Array]:
        best = ideal_gain(lists.labels, top)
        found = jnp.sum(gains(lists.labels) * _mean_discounts(lists, top), axis=-1)
        return found / jnp.where(best > 0, best, 1), best > 0

    return mean_over_lists("ndcg", values)


def _mean_discounts(lists: RankedLists, top: int | None) -> jax.Array:
    larger, equal = (jnp.sum(x, axis=-1, dtype=jnp.int32) for x in places(lists))
    ranks = jnp.arange(1, lists.scores.shape[-1] + 1, dtype=lists.scores.dtype)
    summed = jnp.cumsum(discounts(ranks, top))
    summed = jnp.concatenate([jnp.zeros(1, summed.dtype), summed])
    total = summed[larger + equal] - summed[larger]
    return total / jnp.maximum(equal, 1).astype(total.dtype)


def first_gain(outputs: jax.Array, targets: jax.Array) -> Metrics:
    """Gain of the first document of each list over the largest gain.

    Args:
      outputs: scores that differ, ``(B, n)``.
      targets: relevances, ``(B, n)``, one of each list above 0.

    Returns:
      ``{"ndcg"}``, as with the top 1.

    >>> scores, labels = jnp.array([[0.0, 1.0]]), jnp.array([[2.0, 1.0]])
    >>> f"{first_gain(scores, labels)['ndcg']:.3f}"
    '0.333'
    """
    best = jnp.argmax(outputs, axis=-1)[:, None]
    own = jnp.take_along_axis(gains(targets), best, axis=-1)[:, 0]
    return {"ndcg": jnp.mean(own / jnp.max(gains(targets), axis=-1))}
