"""LambdaRank: pairs weighted by what their exchange does to NDCG."""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp

from jaxopt_lab.core.options import COUNT, POSITIVE, UNIT, check_arguments
from jaxopt_lab.core.ranked_lists import (
    RankedLists,
    discounts,
    gains,
    ideal_gain,
    ranked_lists,
    ranks,
)
from jaxopt_lab.losses.ranking.pairs import ordered_pairs


def lambdarank(
    scores: jax.Array,
    labels: jax.Array,
    *,
    top: Annotated[int | None, COUNT] = None,
    sigma: Annotated[float, POSITIVE] = 1.0,
    share: Annotated[float, UNIT] = 1.0,
    where: jax.Array | None = None,
) -> jax.Array:
    r"""``ranknet``, each pair weighted by the change of NDCG when it is exchanged.

    .. math::
        \sum_{i,j:\, y_i > y_j} \left(1 - a + a\, \Delta_{ij}\right)
            \log\left(1 + e^{-\sigma (s_i - s_j)}\right), \qquad
        \Delta_{ij} = \frac{(2^{y_i} - 2^{y_j})
            \left|d(r_i) - d(r_j)\right|}{\max \mathrm{DCG}},

    with the discount :math:`d(r) = 1 / \log_2(1 + r)`, 0 behind ``top``, of the present
    rank r. The weights are held constant.

    Args:
      scores: s, ``(..., n)`` of n documents, real floating. Of equal ones the earlier
        has the better rank, so that equal scores do not make the weights 0.
      labels: y, relevances of at least 0, ``(..., n)``, constant.
      top: ranks behind it do not count; ``None``: all count.
      sigma: steepness of the logistic function.
      share: a; below 1 pairs whose exchange changes nothing have a gradient, too, and 0
        is ``ranknet``.
      where: ``(..., n)``; 0 drops a document: it is in no pair and has no rank.

    Returns:
      A sum over the pairs of each list, shape ``(...)``, float32 or float64; at least
      0, and 0 of a list without a pair. The same for scores that differ by a constant.
      Two n x n arrays are kept for the gradient.

    Raises:
      InputError: shapes that do not belong together, a negative label, or an option out
        of range.

    Source: Burges, Ragno and Le, "Learning to Rank with Nonsmooth Cost Functions",
    2006, which states the gradient; ``share`` is ours.

    >>> f"{lambdarank(jnp.zeros(2), jnp.array([0, 1])):.3f}"  # (1 - 1 / log2 3) log 2
    '0.256'
    """
    check_arguments(lambdarank, locals())
    lists = ranked_lists(scores, labels, where)
    gaps, better = ordered_pairs(lists)
    weights = ndcg_changes(lists, top)
    a = jnp.asarray(share, gaps.dtype)
    losses = jax.nn.softplus(-jnp.asarray(sigma, gaps.dtype) * gaps)
    losses = (1 - a + a * weights) * losses
    return jnp.sum(jnp.where(better, losses, 0), axis=(-2, -1))


def ndcg_changes(lists: RankedLists, top: int | None = None) -> jax.Array:
    """Changes of NDCG when two documents exchange their ranks.

    Args:
      lists: of ``ranked_lists``.
      top: ranks behind it do not count; ``None``: all count.

    Returns:
      Shape ``(..., n, n)``, constant, at least 0; 0 of a list whose documents are all
      irrelevant.

    >>> lists = ranked_lists(jnp.array([1.0, 0.0]), jnp.array([1, 0]))
    >>> [f"{x:.3f}" for x in ndcg_changes(lists)[0]]
    ['0.000', '0.369']
    """
    places = discounts(ranks(lists), top)
    best = ideal_gain(lists.labels, top)[..., None, None]
    apart = lambda x: jnp.abs(x[..., :, None] - x[..., None, :])
    changes = apart(gains(lists.labels)) * apart(places)
    return jnp.where(best > 0, changes / jnp.where(best > 0, best, 1), 0)
