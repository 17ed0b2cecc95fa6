"""ApproxNDCG: one less NDCG at ranks that are differentiable."""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp

from jaxopt_lab.core.options import POSITIVE, check_arguments
from jaxopt_lab.core.ranked_lists import (
    RankedLists,
    discounts,
    gains,
    ideal_gain,
    itself,
    ranked_lists,
    ranks,
)


def approx_ndcg(
    scores: jax.Array,
    labels: jax.Array,
    *,
    temperature: Annotated[float, POSITIVE] = 0.1,
    where: jax.Array | None = None,
) -> jax.Array:
    r"""One less NDCG, at soft ranks.

    .. math::
        1 - \frac{1}{\max \mathrm{DCG}} \sum_i \frac{2^{y_i} - 1}{\log_2(1 + r_i)},
        \qquad r_i = 1 + \sum_{j \ne i} \left(1 + e^{(s_i - s_j) / T}\right)^{-1}.

    Args:
      scores: s, ``(..., n)`` of n documents, real floating.
      labels: y, relevances of at least 0, ``(..., n)``, constant.
      temperature: T, of the scale of the scores. Towards 0 the loss is 1 less NDCG of
        scores that differ, and its gradient is 0.
      where: ``(..., n)``; 0 drops a document: it has no rank.

    Returns:
      Shape ``(...)``, float32 or float64, from 0 to 1: soft ranks are means of orders,
      and the discount is convex. 0 of a list whose documents are all irrelevant. The
      same for scores that differ by a constant. An n x n array is kept for the
      gradient; differentiable to any order.

    Raises:
      InputError: shapes that do not belong together, a negative label, or an option out
        of range.

    Source: Qin, Liu and Li, "A General Approximation Framework for Direct Optimization
    of Information Retrieval Measures", 2010.

    >>> f"{approx_ndcg(jnp.zeros(2), jnp.array([1, 0])):.3f}"  # 1 - 1 / log2 2.5
    '0.244'
    """
    check_arguments(approx_ndcg, locals())
    lists = ranked_lists(scores, labels, where)
    return _missing_gain(lists, soft_ranks(lists, temperature))


def soft_ranks(lists: RankedLists, temperature: float | jax.Array) -> jax.Array:
    """Ranks by falling score, 1 first, each comparison a logistic function.

    Args:
      lists: of ``ranked_lists``.
      temperature: of the logistic functions.

    Returns:
      Shape ``(..., n)``, from 1 to n.

    >>> soft_ranks(ranked_lists(jnp.zeros(3), jnp.zeros(3)), 1.0).tolist()
    [2.0, 2.0, 2.0]
    """
    s = lists.scores / jnp.asarray(temperature, lists.scores.dtype)
    before = jax.nn.sigmoid(s[..., None, :] - s[..., :, None])
    others = lists.valid[..., None, :] & ~itself(lists)
    return 1 + jnp.sum(jnp.where(others, before, 0), axis=-1)


def missing_ndcg(scores: jax.Array, labels: jax.Array) -> jax.Array:
    """One less NDCG of scores that differ.

    Args:
      scores: ``(..., n)``.
      labels: ``(..., n)``.

    Returns:
      Shape ``(...)``: ``approx_ndcg`` at a temperature near 0.

    >>> float(missing_ndcg(jnp.array([1.0, 0.0]), jnp.array([1, 0])))
    0.0
    """
    lists = ranked_lists(scores, labels)
    return _missing_gain(lists, ranks(lists))


def _missing_gain(lists: RankedLists, places: jax.Array) -> jax.Array:
    best = ideal_gain(lists.labels)
    found = jnp.sum(gains(lists.labels) * discounts(places), axis=-1)
    return jnp.where(best > 0, 1 - found / jnp.where(best > 0, best, 1), 0)
