"""Losses of pairs of documents: the hinge and the logistic loss (RankNet)."""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core.options import NON_NEGATIVE, POSITIVE, check_arguments
from jaxopt_lab.core.ranked_lists import RankedLists, ranked_lists


def pairwise_hinge(
    scores: jax.Array,
    labels: jax.Array,
    *,
    margin: Annotated[float, NON_NEGATIVE] = 1.0,
    where: jax.Array | None = None,
) -> jax.Array:
    r"""Hinge loss of the pairs of a list, the more relevant document first.

    .. math:: \sum_{i,j:\, y_i > y_j} \max(0,\; m - (s_i - s_j)).

    Args:
      scores: s, ``(..., n)`` of n documents, real floating.
      labels: y, relevances of at least 0, ``(..., n)``, constant. Only their order
        counts; equal ones are no pair.
      margin: m; 0 is the loss of a perceptron.
      where: ``(..., n)``; 0 drops a document: it is in no pair.

    Returns:
      A sum over the pairs of each list, shape ``(...)``, float32 or float64; at least
      0, and 0 of a list without a pair. The same for scores that differ by a constant.
      An n x n array is kept for the gradient, which at the kink is 0.

    Raises:
      InputError: shapes that do not belong together, a negative label, or an option out
        of range.

    Source: Herbrich, Graepel and Obermayer, "Large Margin Rank Boundaries for Ordinal
    Regression", 2000.

    >>> float(pairwise_hinge(jnp.array([0.5, 0.0]), jnp.array([1, 0])))
    0.5
    """
    check_arguments(pairwise_hinge, locals())
    gaps, better = ordered_pairs(ranked_lists(scores, labels, where))
    return _total(jax.nn.relu(jnp.asarray(margin, gaps.dtype) - gaps), better)


def ranknet(
    scores: jax.Array,
    labels: jax.Array,
    *,
    sigma: Annotated[float, POSITIVE] = 1.0,
    where: jax.Array | None = None,
) -> jax.Array:
    r"""Logistic loss of the pairs of a list, the more relevant document first.

    .. math:: \sum_{i,j:\, y_i > y_j} \log\left(1 + e^{-\sigma (s_i - s_j)}\right),

    the negative log-likelihood of the pairs under Bradley and Terry's model.

    Args:
      scores: s, ``(..., n)`` of n documents, real floating.
      labels: y, relevances of at least 0, ``(..., n)``, constant. Only their order
        counts; equal ones are no pair.
      sigma: steepness of the logistic function.
      where: ``(..., n)``; 0 drops a document: it is in no pair.

    Returns:
      A sum over the pairs of each list, shape ``(...)``, float32 or float64; at least
      0, and 0 of a list without a pair. The same for scores that differ by a constant;
      of two documents it is ``list_mle``. An n x n array is kept for the gradient;
      differentiable to any order.

    Raises:
      InputError: shapes that do not belong together, a negative label, or an option out
        of range.

    Source: Burges et al., "Learning to Rank using Gradient Descent", 2005; pairs of
    equal relevance, whose target there is 1/2, are left out.

    >>> f"{ranknet(jnp.zeros(3), jnp.array([1, 0, 0])):.3f}"  # 2 log 2
    '1.386'
    """
    check_arguments(ranknet, locals())
    gaps, better = ordered_pairs(ranked_lists(scores, labels, where))
    return _total(jax.nn.softplus(-jnp.asarray(sigma, gaps.dtype) * gaps), better)


def ordered_pairs(lists: RankedLists) -> tuple[jax.Array, jax.Array]:
    """Differences of scores, and the pairs in which the first is more relevant.

    Args:
      lists: of ``ranked_lists``.

    Returns:
      ``(gaps, better)``, both ``(..., n, n)``: the score of the row's document less
      that of the column's, and booleans.

    >>> lists = ranked_lists(jnp.array([3.0, 1.0]), jnp.array([1, 0]))
    >>> gaps, better = ordered_pairs(lists)
    >>> float(gaps[0, 1]), better.tolist()
    (2.0, [[False, True], [False, False]])
    """
    s, y, valid = lists
    better = y[..., :, None] > y[..., None, :]
    both = valid[..., :, None] & valid[..., None, :]
    return s[..., :, None] - s[..., None, :], better & both


def perceptron_pairs(scores: jax.Array, labels: jax.Array) -> jax.Array:
    """Sum of the differences of pairs in the wrong order.

    Args:
      scores: ``(n,)``.
      labels: ``(n,)``.

    Returns:
      A number: ``pairwise_hinge`` without a margin.

    >>> float(perceptron_pairs(jnp.array([0.0, 2.0]), jnp.array([1, 0])))
    2.0
    """
    later = labels[:, None] > labels[None]
    return jnp.sum(jax.nn.relu(scores[None] - scores[:, None]) * later)


def logistic_pairs(scores: jax.Array, labels: jax.Array) -> jax.Array:
    """Sum of the binary cross-entropies of the pairs' order.

    Args:
      scores: ``(n,)``.
      labels: ``(n,)``.

    Returns:
      A number: ``ranknet`` at the steepness 1.

    >>> f"{logistic_pairs(jnp.zeros(2), jnp.array([1, 0])):.3f}"
    '0.693'
    """
    gaps = scores[:, None] - scores[None]
    losses = optax.sigmoid_binary_cross_entropy(gaps, jnp.ones_like(gaps))
    return jnp.sum(losses * (labels[:, None] > labels[None]))


def _total(losses: jax.Array, better: jax.Array) -> jax.Array:
    return jnp.sum(jnp.where(better, losses, 0), axis=(-2, -1))
