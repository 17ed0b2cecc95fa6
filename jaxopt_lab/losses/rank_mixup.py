"""RankMixup: the confidence in a mixture ranked below that in an example."""

from __future__ import annotations

from typing import Annotated, Literal

import jax
import jax.numpy as jnp

from jaxopt_lab.core.mixing import share
from jaxopt_lab.core.options import NON_NEGATIVE, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.where import or_zero
from jaxopt_lab.losses.cross_entropy import cross_entropy
from jaxopt_lab.losses.targets import (
    check_probabilities,
    check_shape,
    kept,
    refuse_out_of_range,
)

Ideal = Literal["shares", "confidences"]


def mixup_ranking(
    logits: jax.Array,
    labels: jax.Array,
    *,
    mixed: jax.Array,
    mixed_labels: jax.Array,
    weight: Annotated[float, NON_NEGATIVE] = 0.1,
    margin: Annotated[float, NON_NEGATIVE] = 0.1,
    where: jax.Array | None = None,
) -> jax.Array:
    r"""Cross-entropy, and a margin between the confidences in an example and mixtures.

    With the logits z of an example, those :math:`z^k` of its mixtures k = 1..K with
    others of the batch, and a margin m, beside the cross-entropy of z

    .. math:: \frac{\alpha}{K} \sum_k [\lambda_k < 1]
        \max(\max_c z^k_c - \max_c z_c + m, 0),

    :math:`\lambda_k` the share of the larger class in the mixture: a mixture of two
    examples of one class is as certain as they are, and is left out.

    Args:
      logits: ``(B, C)``.
      labels: integers ``(B,)``.
      mixed: logits of the mixtures, ``(B, K, C)``.
      mixed_labels: their labels as probabilities, ``(B, K, C)``, as of ``data.mixup``.
      weight: :math:`\alpha`; 0 is the cross-entropy.
      margin: m.
      where: ``(B,)``; 0 drops an example and its mixtures.

    Returns:
      Shape ``(B,)``, float32 or float64. Kept for the gradient: the logits.

    Raises:
      InputError: shapes that do not belong together, probabilities that do not sum to
        1, or an option out of range.

    Source: Noh et al., "RankMixup: Ranking-Based Mixup Training for Network
    Calibration", 2023 (https://arxiv.org/abs/2308.11990). Its code multiplies the mean
    hinge by the share of mixtures that count; here each hinge has its own mask.

    >>> z, mixed = jnp.array([[2.0, 0.0]]), jnp.array([[[2.5, 0.0]]])
    >>> given = {"mixed": mixed, "mixed_labels": jnp.array([[[0.6, 0.4]]])}
    >>> more = mixup_ranking(z, jnp.array([0]), weight=1.0, **given)
    >>> float(more[0] - cross_entropy(z, jnp.array([0]))[0])  # 2.5 - 2 + 0.1
    0.6000000238418579
    """
    check_arguments(mixup_ranking, locals())
    losses = cross_entropy(logits, labels, where=where)
    refuse_out_of_range(labels, logits.shape[-1], where)
    z, mixtures, shares = _checked(logits, mixed, mixed_labels, where)
    apart = jnp.max(mixtures, axis=-1) - jnp.max(z, axis=-1)[:, None]
    hinge = jnp.maximum(apart + jnp.asarray(margin, z.dtype), 0)
    hinge = jnp.mean(jnp.where(shares < 1, hinge, 0), axis=1)
    return losses + jnp.asarray(weight, losses.dtype) * or_zero(hinge, where)


def mixup_ndcg(
    logits: jax.Array,
    labels: jax.Array,
    *,
    mixed: jax.Array,
    mixed_labels: jax.Array,
    weight: Annotated[float, NON_NEGATIVE] = 0.1,
    ideal: Ideal = "shares",
    where: jax.Array | None = None,
) -> jax.Array:
    r"""Cross-entropy, and the discounted gain of confidences in the order of mixtures.

    The confidences :math:`p_0` in an example and :math:`p_1, \ldots, p_K` in its
    mixtures (largest probabilities), ordered by falling share :math:`\lambda_k` of the
    larger class, :math:`\lambda_0 = 1`, give with the gain

    .. math::
        D(g) = \sum_{k=0}^{K} \frac{g_k}{\log_2(2 + k)}, \qquad
        N = D(p) / D^*, \qquad
        CE + \alpha (1 - \min(N, 1 / N)).

    :math:`D^*` is :math:`D(\lambda)`: the term is 0 where the confidences are the
    shares; or that of the confidences in falling order: it is 0 where they fall as the
    shares do.

    Args:
      logits: ``(B, C)``.
      labels: integers ``(B,)``.
      mixed: logits of the mixtures, ``(B, K, C)``.
      mixed_labels: their labels as probabilities, ``(B, K, C)``, as of ``data.mixup``.
      weight: :math:`\alpha`; 0 is the cross-entropy.
      ideal: ``"shares"``, as the code, or ``"confidences"``, which is ours.
      where: ``(B,)``; 0 drops an example and its mixtures.

    Returns:
      Shape ``(B,)``, float32 or float64. Kept for the gradient: the logits.

    Raises:
      InputError: as of ``mixup_ranking``.

    Source: Noh et al., "RankMixup: Ranking-Based Mixup Training for Network
    Calibration", 2023 (https://arxiv.org/abs/2308.11990), and its code.

    >>> z, mixed = jnp.array([[9.0, 0.0]]), jnp.array([[[0.0, 0.0]]])
    >>> given = {"mixed": mixed, "mixed_labels": jnp.array([[[0.5, 0.5]]])}
    >>> more = mixup_ndcg(z, jnp.array([0]), weight=1.0, **given)
    >>> round(float(more[0] - cross_entropy(z, jnp.array([0]))[0]), 3)
    0.0
    """
    check_arguments(mixup_ndcg, locals())
    losses = cross_entropy(logits, labels, where=where)
    refuse_out_of_range(labels, logits.shape[-1], where)
    z, mixtures, shares = _checked(logits, mixed, mixed_labels, where)
    every = jnp.concatenate([z[:, None], mixtures], axis=1)
    confidence = jnp.max(jax.nn.softmax(every), axis=-1)
    shares = jnp.concatenate([jnp.ones_like(shares[:, :1]), shares], axis=1)
    # The example stands before the mixtures of one class: the sort is stable.
    order = jnp.argsort(-shares, axis=1, stable=True)
    ranks = jnp.arange(shares.shape[1], dtype=z.dtype)
    discount = (1 / jnp.log2(2 + ranks))[None]
    found = jnp.sum(jnp.take_along_axis(confidence, order, axis=1) * discount, axis=1)
    gains = shares if ideal == "shares" else confidence
    best = jnp.sum(-jnp.sort(-gains, axis=1) * discount, axis=1)
    # Both are above 0: a confidence is at least 1 / C.
    ratio = jnp.where(found > best, best / found, found / best)
    term = or_zero(1 - ratio, where)
    return losses + jnp.asarray(weight, losses.dtype) * term


def _checked(
    logits: jax.Array,
    mixed: jax.Array,
    mixed_labels: jax.Array,
    where: jax.Array | None,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The logits, those of the mixtures, and the mixtures' shares."""
    wide = accumulation_dtype(logits.dtype)
    count = mixed.shape[1] if mixed.ndim == 3 else 1
    shape = (logits.shape[0], count, logits.shape[-1])
    check_shape("mixed", mixed, shape)
    check_shape("mixed_labels", mixed_labels, shape)
    check_probabilities("mixed_labels", mixed_labels, where)
    keep = None if where is None else jnp.broadcast_to(where[:, None], shape[:2])
    shares = share(kept(mixed_labels.astype(wide), keep))
    return kept(logits.astype(wide), where), kept(mixed.astype(wide), keep), shares
