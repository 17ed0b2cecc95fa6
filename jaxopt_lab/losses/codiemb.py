"""CoDiEmb: losses of text embeddings for similarity scores and for retrieval."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, NON_NEGATIVE, POSITIVE, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.losses.targets import check_floats, check_shape, mean_where, valid


def similarity_ranking(
    similarities: jax.Array,
    scores: jax.Array,
    *,
    pearson: Annotated[float, NON_NEGATIVE] = 2.0,
    rank: Annotated[float, NON_NEGATIVE] = 5.0,
    preference: Annotated[float, NON_NEGATIVE] = 0.5,
    temperature: Annotated[float, POSITIVE] = 0.05,
    where: jax.Array | None = None,
) -> jax.Array:
    r"""Weighted sum of three losses between similarities of pairs and human scores.

    With similarities s and scores y of n pairs, and a temperature :math:`\tau`,

    .. math::
        \text{pearson:}\quad & 1 - \mathrm{corr}(s, y) \\
        \text{rank:}\quad & \tfrac1n KL\!\left(\mathrm{softmax}(t / \tau) \,\|\,
            \mathrm{softmax}(s / \tau)\right), \quad
            t_i = \frac{\text{pairs below } i + \text{half of its equals}}{n - 1} \\
        \text{preference:}\quad & \overline{\mathrm{logsumexp}(a_k, b_{k\cdot}) - a_k},
            \quad a_k = \frac{s_k}{\tau} (y_k - \min y), \quad
            b_{kj} = \frac{s_j}{\tau} (y_k - y_j) \text{ where } y_j < y_k,

    the last mean over the pairs that have one below them.

    Args:
      similarities: ``(n,)``, cosines of the pairs' embeddings.
      scores: ``(n,)``, floating, constant.
      pearson: weight of the first; the defaults are those of the code.
      rank: weight of the second.
      preference: weight of the third.
      temperature: :math:`\tau`, of the last two.
      where: ``(n,)``; 0 drops a pair.

    Returns:
      A number, float32 or float64. Pairs are coupled; two n x n arrays are kept for the
      gradient. Scores or similarities that are all equal, or one pair, have the
      correlation 0 and no gradient of it.

    Raises:
      InputError: shapes that do not belong together, or an option out of range.

    Source: Zhang et al., "CoDiEmb: A Collaborative yet Distinct Framework for Unified
    Representation Learning in Information Retrieval and Semantic Textual Similarity",
    2025 (https://arxiv.org/abs/2508.11442) and its code. Its fourth part, a contrastive
    loss within the batch, is not here.

    >>> s, y = jnp.array([0.1, 0.5, 0.9]), jnp.array([5.0, 3.0, 1.0])
    >>> f"{similarity_ranking(s, y, pearson=1.0, rank=0.0, preference=0.0):.3f}"
    '2.000'
    """
    check_arguments(similarity_ranking, locals())
    s, y, counts = _checked(similarities, scores, where)
    t = jnp.asarray(temperature, s.dtype)
    parts = (
        (pearson, 1 - _correlation(s, y, counts)),
        (rank, _rank_divergence(s, y, counts, t)),
        (preference, _preferences(s / t, y, counts)),
    )
    return sum(
        (jnp.asarray(weight, s.dtype) * part for weight, part in parts),
        jnp.zeros((), s.dtype),
    )


def pearson_loss(
    similarities: jax.Array, scores: jax.Array, *, where: jax.Array | None = None
) -> jax.Array:
    """One minus the correlation of similarities and scores.

    Args:
      similarities: ``(n,)``.
      scores: ``(n,)``.
      where: ``(n,)``; 0 drops a pair.

    Returns:
      A number in [0, 2]; 1 where one of the two is constant.

    >>> f"{pearson_loss(jnp.array([0.1, 0.9]), jnp.array([5.0, 1.0])):.3f}"
    '2.000'
    """
    return 1 - _correlation(*_checked(similarities, scores, where))


def multi_positive_retrieval(
    queries: jax.Array,
    *,
    passages: jax.Array,
    positives: Annotated[int, COUNT] = 1,
    temperature: Annotated[float, POSITIVE] = 0.02,
    where: jax.Array | None = None,
) -> jax.Array:
    r"""Contrastive loss of queries with several positive passages each.

    The candidates for positive j = 1..m are the j-th positives of all queries and the
    hard negatives of all of them; the loss of a query is the mean over j of the
    cross-entropy of its own j-th positive, with logits :math:`q \cdot p / \tau`. So the
    other positives of a query are no negatives of it.

    Args:
      queries: embeddings, ``(B, D)``, of unit length as a rule.
      passages: ``(B, m + h, D)``: the positives of each query, then its h negatives.
      positives: m, at least 1.
      temperature: :math:`\tau`.
      where: ``(B,)``; 0 drops a query and its passages.

    Returns:
      Shape ``(B,)``, float32 or float64. Kept for the gradient: the logits, ``(m, B,
      B (1 + h))``.

    Raises:
      InputError: shapes that do not belong together, no positive, or an option out of
        range.

    Source: Zhang et al., "CoDiEmb", 2025 (https://arxiv.org/abs/2508.11442) and its
    code.

    >>> q = jnp.eye(2)
    >>> losses = multi_positive_retrieval(q, passages=q[:, None], temperature=1.0)
    >>> [f"{x:.3f}" for x in losses]  # log(1 + 1 / e)
    ['0.313', '0.313']
    """
    check_arguments(multi_positive_retrieval, locals())
    check_floats("queries", queries, 2)
    check_floats("passages", passages, 3)
    if passages.shape[1] < positives:
        raise InputError(
            f"positives={positives} of each query; got {passages.shape[1]} passages"
        )
    count, size = queries.shape
    check_shape("passages", passages, (count, passages.shape[1], size))
    wide = accumulation_dtype(queries.dtype)
    here = valid(where, count, queries) > 0
    q = jnp.where(here[:, None], queries.astype(wide), 0) / jnp.asarray(
        temperature, wide
    )
    p = jnp.where(here[:, None, None], passages.astype(wide), 0)
    best = jax.lax.Precision.HIGHEST
    own = jnp.einsum("bd,cjd->jbc", q, p[:, :positives], precision=best)
    other = jnp.einsum("bd,chd->bch", q, p[:, positives:], precision=best)
    own = jnp.where(here[None, None], own, -jnp.inf)
    other = jnp.where(here[None, :, None], other, -jnp.inf).reshape(
        1, count, count * other.shape[2]
    )
    other = jnp.broadcast_to(other, (positives, *other.shape[1:]))
    # A dropped query sees its own positive: of nothing at all the gradient is NaN.
    mine = jnp.eye(count, dtype=bool)[None] & ~here[None, :, None]
    logits = jnp.concatenate([jnp.where(mine, 0, own), other], axis=-1)
    right = jnp.diagonal(logits, axis1=1, axis2=2)
    losses = jnp.mean(jax.nn.logsumexp(logits, axis=-1) - right, axis=0)
    return jnp.where(here, losses, 0)


def mean_info_nce(
    queries: jax.Array, *, passages: jax.Array, temperature: float | jax.Array = 0.02
) -> jax.Array:
    """Mean of the contrastive losses of each positive among those of other queries.

    Args:
      queries: ``(B, D)``.
      passages: ``(B, m, D)``, positives all of them.
      temperature: of the logits.

    Returns:
      Shape ``(B,)``: ``multi_positive_retrieval`` without negatives.

    >>> p = jnp.eye(2)[:, None]
    >>> [f"{x:.3f}" for x in mean_info_nce(jnp.eye(2), passages=p, temperature=1.0)]
    ['0.313', '0.313']
    """
    wide = accumulation_dtype(queries.dtype)
    q = queries.astype(wide) / jnp.asarray(temperature, wide)
    found = []
    for j in range(passages.shape[1]):
        logits = q @ passages[:, j].astype(wide).T
        found.append(-jnp.diagonal(jax.nn.log_softmax(logits)))
    return jnp.mean(jnp.stack(found), axis=0)


def _checked(
    similarities: jax.Array, scores: jax.Array, where: jax.Array | None
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Similarities, constant scores and which pairs count; zeros for the others."""
    check_floats("similarities", similarities, 1)
    check_floats("scores", scores, 1)
    check_shape("scores", scores, similarities.shape)
    wide = accumulation_dtype(similarities.dtype)
    counts = valid(where, similarities.shape[0], similarities)
    s = jnp.where(counts > 0, similarities.astype(wide), 0)
    y = jnp.where(counts > 0, scores.astype(wide), 0)
    return s, jax.lax.stop_gradient(y), counts


def _spread(x: jax.Array, counts: jax.Array) -> jax.Array:
    """Centred values of the size of 1; zeros for equal ones."""
    size = jnp.max(jnp.abs(x), initial=0)
    size = jax.lax.stop_gradient(jnp.where(size == 0, 1, size))
    x = x / size
    centred = jnp.where(counts > 0, x - mean_where(x, counts), 0)
    # Equal values leave rounding alone, which is no spread.
    flat = jnp.max(jnp.abs(centred), initial=0) <= 8 * jnp.finfo(x.dtype).eps
    return jnp.where(flat, 0, centred)


def _correlation(s: jax.Array, y: jax.Array, counts: jax.Array) -> jax.Array:
    a, b = _spread(s, counts), _spread(y, counts)
    own, other = jnp.sum(a * a), jnp.sum(b * b)
    # So written that a NaN passes.
    none = (own <= 0) | (other <= 0)
    scale = jnp.sqrt(jnp.where(none, 1, own)) * jnp.sqrt(jnp.where(none, 1, other))
    return jnp.where(none, 0, jnp.sum(a * b) / scale)


def _rank_divergence(
    s: jax.Array, y: jax.Array, counts: jax.Array, temperature: jax.Array
) -> jax.Array:
    """Divergence of the softmax of ranks and that of similarities, over the pairs."""
    total = jnp.sum(counts)
    below = jnp.sum(jnp.where(y[None] < y[:, None], counts[None], 0), axis=1)
    equal = jnp.sum(jnp.where(y[None] == y[:, None], counts[None], 0), axis=1)
    place = (below + (equal - 1) / 2) / jnp.maximum(total - 1, 1)
    here = counts > 0
    # With no pair at all every one takes part, at no weight.
    seen = here | (total == 0)
    wanted = jax.nn.log_softmax(jnp.where(seen, place / temperature, -jnp.inf))
    # Without the largest before the division: a compiler may join a product and the
    # difference behind it, and the largest of huge logits would not leave exactly 0.
    largest = jnp.max(jnp.where(seen, s, -jnp.inf), initial=-jnp.inf)
    largest = jax.lax.stop_gradient(largest)
    logits = (s - largest) / temperature
    found = jax.nn.log_softmax(jnp.where(seen, logits, -jnp.inf))
    p = jnp.where(here, jnp.exp(wanted), 0)
    apart = jnp.where(here, wanted, 0) - jnp.where(here, found, 0)
    return jnp.sum(jnp.where(p == 0, 0, p * apart)) / jnp.maximum(total, 1)


def _preferences(logits: jax.Array, y: jax.Array, counts: jax.Array) -> jax.Array:
    """Mean over pairs of the cross-entropy to those below them, by the gaps."""
    both = (counts[None] * counts[:, None]) > 0
    gap = y[:, None] - y[None]
    lower = both & (gap > 0)
    widest = jnp.max(jnp.where(lower, gap, 0), axis=1, initial=0)
    own = logits * widest
    # Differences here, for the reason above.
    apart = jnp.where(lower, logits[None] * gap - own[:, None], -jnp.inf)
    every = jnp.concatenate([jnp.zeros_like(own)[:, None], apart], axis=1)
    losses = jax.nn.logsumexp(every, axis=1)
    return mean_where(losses, jnp.any(lower, axis=1).astype(losses.dtype))
