"""FixMatch: the cross-entropy of a strong view, where the weak view is certain."""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp

from jaxopt_lab.core.options import UNIT, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.losses.targets import (
    check_floats,
    check_probabilities,
    check_shape,
    kept,
    valid,
)


def confident_cross_entropy(
    logits: jax.Array,
    *,
    weak: jax.Array,
    threshold: Annotated[float, UNIT] = 0.95,
    where: jax.Array | None = None,
) -> jax.Array:
    r"""Cross-entropy of a strong view to the weak view's probabilities, if certain.

    .. math:: -[\max_c q_c \ge \tau] \sum_c q_c \log p_c,

    p the softmax of the logits, q held constant.

    Args:
      logits: of the strong view, ``(B, C)``.
      weak: q, the probabilities of the weak view, ``(B, C)``; a one-hot label of the
        largest is the hard form of the paper.
      threshold: :math:`\tau`; 0 is the cross-entropy of every example.
      where: ``(B,)``; 0 drops an example.

    Returns:
      Shape ``(B,)``, float32 or float64; an uncertain example has 0 and no gradient.

    Raises:
      InputError: shapes that do not belong together, ``weak`` no probabilities, or a
        threshold out of range.

    Cost: linear in the logits, three arrays of whose size are kept for the
    gradient.

    Source: Sohn et al., "FixMatch: Simplifying Semi-Supervised Learning with
    Consistency and Confidence", 2020 (https://arxiv.org/abs/2001.07685); soft labels as
    in the code of ShrinkMatch.

    >>> q = jnp.array([[0.96, 0.04], [0.6, 0.4]])
    >>> confident_cross_entropy(jnp.zeros((2, 2)), weak=q).round(3).tolist()
    [0.6930000185966492, 0.0]
    """
    check_arguments(confident_cross_entropy, locals())
    losses = pseudo_label_cross_entropy(logits, weak=weak, where=where)
    best = jnp.max(weak.astype(losses.dtype), axis=-1)
    # So written that a NaN in the weak view passes.
    return jnp.where(best < jnp.asarray(threshold, best.dtype), 0, losses)


def pseudo_label_cross_entropy(
    logits: jax.Array, *, weak: jax.Array, where: jax.Array | None = None
) -> jax.Array:
    """Cross-entropy to probabilities that are held constant.

    Args:
      logits: ``(B, C)``.
      weak: probabilities, ``(B, C)``.
      where: ``(B,)``; 0 drops an example.

    Returns:
      Shape ``(B,)``.

    Raises:
      InputError: as of ``confident_cross_entropy``.

    >>> q = jnp.array([[0.5, 0.5]])
    >>> pseudo_label_cross_entropy(jnp.zeros((1, 2)), weak=q).round(3).tolist()
    [0.6930000185966492]
    """
    check_floats("logits", logits, 2)
    check_shape("weak", weak, logits.shape)
    counts = valid(where, logits.shape[0], logits)
    check_probabilities("weak", weak, where)
    log_p = jax.nn.log_softmax(
        kept(logits.astype(accumulation_dtype(logits.dtype)), where)
    )
    q = jax.lax.stop_gradient(kept(weak.astype(log_p.dtype), where))
    # A class of probability 0 adds nothing, whatever its logarithm.
    losses = -jnp.sum(jnp.where(q == 0, 0, q * log_p), axis=-1)
    return losses if where is None else jnp.where(counts > 0, losses, 0)
