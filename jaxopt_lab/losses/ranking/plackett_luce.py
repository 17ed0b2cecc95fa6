"""ListMLE: the likelihood of an order of documents (Plackett and Luce)."""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core.options import COUNT, check_arguments
from jaxopt_lab.core.ranked_lists import itself, ranked_lists


def list_mle(
    scores: jax.Array,
    labels: jax.Array,
    *,
    top: Annotated[int | None, COUNT] = None,
    key: jax.Array | None = None,
    where: jax.Array | None = None,
) -> jax.Array:
    r"""Negative log-likelihood of the order of the labels (Plackett and Luce).

    Documents are drawn one after another, each with a probability in proportion to
    :math:`e^{s}` among those that are left. With (i) the i-th document by falling
    relevance,

    .. math:: -\sum_{i \le t} \left( s_{(i)} - \log \sum_{k \ge i} e^{s_{(k)}} \right).

    Args:
      scores: s, ``(..., n)`` of n documents, real floating.
      labels: y, relevances of at least 0, ``(..., n)``, constant. Only their order
        counts.
      top: t, the documents of the order that count; 1 is the cross-entropy of the most
        relevant one. ``None``: all of them.
      key: draws the order of equal labels. ``None``: each of the equals is drawn from
        all of them and those below (Breslow), which needs no key, does not depend on
        the documents' places and is no less than any of the orders.
      where: ``(..., n)``; 0 drops a document.

    Returns:
      Shape ``(...)``, float32 or float64; at least 0. The same for scores that differ
      by a constant; of two documents it is ``ranknet``. An n x n array is kept for the
      gradient; differentiable to any order.

    Raises:
      InputError: shapes that do not belong together, a negative label, or an option out
        of range.

    Source: Xia et al., "Listwise Approach to Learning to Rank", 2008; ``top`` in Xia,
    Liu and Li, "Top-k Consistency of Learning to Rank Methods", 2009.

    >>> f"{list_mle(jnp.zeros(3), jnp.array([2, 1, 0])):.3f}"  # log 6
    '1.792'
    """
    check_arguments(list_mle, {"top": top})
    lists = ranked_lists(scores, labels, where)
    s, y, valid = lists
    above = y[..., None, :] > y[..., :, None]
    same = y[..., None, :] == y[..., :, None]
    if key is not None:
        draws = jax.random.uniform(key, y.shape, jnp.float32)
        places = jnp.argsort(jnp.argsort(draws, axis=-1), axis=-1)
        above = above | (same & (places[..., None, :] < places[..., :, None]))
    seen = valid[..., None, :]
    # A dropped document sees itself: of nothing at all the gradient is NaN.
    left = (~above & seen) | itself(lists)
    every = jax.nn.logsumexp(jnp.where(left, s[..., None, :], -jnp.inf), axis=-1)
    counts = valid
    if top is not None:
        counts = counts & (jnp.sum(above & seen, axis=-1) < top)
    return jnp.sum(jnp.where(counts, every - s, 0), axis=-1)


def top_one_cross_entropy(scores: jax.Array, labels: jax.Array) -> jax.Array:
    """Cross-entropy of the most relevant document.

    Args:
      scores: ``(n,)``.
      labels: ``(n,)``; one is the largest.

    Returns:
      A number: ``list_mle`` at the top 1.

    >>> f"{top_one_cross_entropy(jnp.zeros(2), jnp.array([0, 1])):.3f}"
    '0.693'
    """
    best = jnp.argmax(labels)
    return optax.softmax_cross_entropy_with_integer_labels(scores, best)
