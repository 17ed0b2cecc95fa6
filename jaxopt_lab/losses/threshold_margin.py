"""Threshold-consistent margin: one threshold of similarity for all classes."""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import NON_NEGATIVE, Interval, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.unit import unit_rows
from jaxopt_lab.losses.targets import check_floats, check_shape, mean_where, valid

_COSINE = Interval(-1.0, 1.0)


def threshold_consistent_margin(
    embeddings: jax.Array,
    labels: jax.Array,
    *,
    positive_margin: Annotated[float, _COSINE] = 0.9,
    negative_margin: Annotated[float, _COSINE] = 0.5,
    positive_weight: Annotated[float, NON_NEGATIVE] = 1.0,
    negative_weight: Annotated[float, NON_NEGATIVE] = 1.0,
    where: jax.Array | None = None,
) -> jax.Array:
    r"""Mean excess of hard pairs over margins of similarity, to be added to a loss.

    With the cosines s of all pairs of different examples,

    .. math::
        \lambda_+ \operatorname{mean}_{y_i = y_j,\, s \le m_+} (m_+ - s)
        + \lambda_- \operatorname{mean}_{y_i \ne y_j,\, s \ge m_-} (s - m_-),

    each mean over the hard pairs alone and 0 where there is none: the penalty does not
    fade as they become few, and jumps where one of several leaves the set.

    Args:
      embeddings: ``(B, D)``; their lengths do not matter.
      labels: integers ``(B,)``, any values.
      positive_margin: :math:`m_+`, in [-1, 1].
      negative_margin: :math:`m_-`, in [-1, 1].
      positive_weight: :math:`\lambda_+`.
      negative_weight: :math:`\lambda_-`.
      where: ``(B,)``; 0 drops an example and its pairs.

    Returns:
      A number, float32 or float64. Examples are coupled; the ``B x B`` cosines are kept
      for the gradient. An embedding of zeros has the cosine 0 with all, and no
      gradient. One class only, or no class with two examples, leaves one of the means.

    Raises:
      InputError: shapes that do not belong together, labels that are no integers, or an
        option out of range.

    Source: Zhang et al., "Threshold-Consistent Margin Loss for Open-World Deep Metric
    Learning", 2023 (https://arxiv.org/abs/2307.04047); a draft in
    pytorch-metric-learning.

    >>> x = jnp.array([[1.0, 0.0], [0.0, 2.0]])
    >>> f"{threshold_consistent_margin(x, jnp.array([0, 0])):.1f}"  # 0.9 - 0
    '0.9'
    """
    check_arguments(
        threshold_consistent_margin,
        {n: v for n, v in locals().items() if n not in ("embeddings", "labels")},
    )
    check_floats("embeddings", embeddings, 2)
    check_shape("labels", labels, embeddings.shape[:1])
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise InputError(f"labels must be integers; got dtype {labels.dtype}")
    counts = valid(where, embeddings.shape[0], embeddings)
    x = embeddings.astype(accumulation_dtype(embeddings.dtype))
    x = unit_rows(jnp.where(counts[:, None] > 0, x, 0))
    cosines = jnp.matmul(x, x.T, precision=jax.lax.Precision.HIGHEST)
    pairs = (counts[:, None] * counts[None]) > 0
    pairs = pairs & ~jnp.eye(x.shape[0], dtype=bool)
    same = labels[:, None] == labels[None]
    high = jnp.asarray(positive_margin, x.dtype)
    low = jnp.asarray(negative_margin, x.dtype)
    # So written that a NaN is among the hard pairs.
    hard_positive = pairs & same & ~(cosines > high)
    hard_negative = pairs & ~same & ~(cosines < low)
    positive = mean_where(
        jnp.where(hard_positive, high - cosines, 0), hard_positive.astype(x.dtype)
    )
    negative = mean_where(
        jnp.where(hard_negative, cosines - low, 0), hard_negative.astype(x.dtype)
    )
    return (
        jnp.asarray(positive_weight, x.dtype) * positive
        + jnp.asarray(negative_weight, x.dtype) * negative
    )
