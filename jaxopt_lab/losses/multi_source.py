"""Distillation from several source models, weighted by their transferability."""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import NON_NEGATIVE, UNIT, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.where import counted
from jaxopt_lab.losses.cross_entropy import cross_entropy
from jaxopt_lab.losses.targets import (
    check_floats,
    check_labels,
    check_probabilities,
    check_shape,
    kept,
    refuse_out_of_range,
    valid,
)


def source_weights(
    scores: jax.Array, *, power: Annotated[float, NON_NEGATIVE] = 9.0
) -> jax.Array:
    r"""Weights of source models from their scores, DistillWeighted's.

    .. math:: w_s = \frac{\max(0, score_s)^p}{\sum_t \max(0, score_t)^p}.

    Args:
      scores: of transferability, such as PARC, ``(S,)``; the larger, the better.
      power: p; 0: alike over the positive scores; the larger, the nearer to the best
        one alone. Infinity is DistillNearest: the best, the first of equal ones.

    Returns:
      Shape ``(S,)``, sum 1, constant. Where no score is positive, alike.

    Raises:
      InputError: ``scores`` are no vector of floats, or ``power`` is negative.

    Source: Borup, Phoo and Hariharan, "Distilling from Similar Tasks for Transfer
    Learning on a Budget", 2023 (https://arxiv.org/abs/2304.12314), from the abstract
    and as recalled; the default of p is ours.

    >>> source_weights(jnp.array([1.0, 3.0, -2.0]), power=1.0).tolist()
    [0.25, 0.75, 0.0]
    """
    check_floats("scores", scores, 1)
    if power != float("inf"):
        check_arguments(source_weights, {"power": power})
    scores = jax.lax.stop_gradient(scores.astype(accumulation_dtype(scores.dtype)))
    best = jnp.max(scores)
    if power == float("inf"):
        return jax.nn.one_hot(jnp.argmax(scores), scores.shape[0], dtype=scores.dtype)
    # Over the largest: the power of a score of a hundred overflows.
    ratio = jnp.maximum(scores, 0) / jnp.where(best > 0, best, 1)
    ratio = jnp.where(best > 0, ratio, 1)
    p = jnp.asarray(power, scores.dtype)
    weights = jnp.where(ratio > 0, jnp.where(ratio > 0, ratio, 1) ** p, 0)
    return weights / jnp.sum(weights)


def multi_source_distillation(
    logits: jax.Array,
    labels: jax.Array,
    *,
    heads: tuple[jax.Array, ...],
    teachers: tuple[jax.Array, ...],
    weights: jax.Array,
    task_weight: Annotated[float, UNIT] = 0.8,
    labelled: jax.Array | None = None,
    where: jax.Array | None = None,
) -> jax.Array:
    r"""Cross-entropy of the task, and of a head for each source to its probabilities.

    .. math::
        \lambda\, CE(z, y) + (1 - \lambda) \sum_s w_s\, CE(h_s, T_s(x)).

    Args:
      logits: z, of the task head, ``(B, C)``.
      labels: integers ``(B,)``; one out of range gives NaN.
      heads: logits :math:`h_s` of a head on the student's features for each source,
        ``(B, C_s)``.
      teachers: probabilities of the sources, ``(B, C_s)`` each, constant.
      weights: :math:`w_s`, ``(S,)``; those of ``source_weights``.
      task_weight: :math:`\lambda`; 1 is supervised training.
      labelled: ``(B,)``; 0 for an example without a label, whose first term is left
        out.
      where: ``(B,)``; 0 drops an example.

    Returns:
      Shape ``(B,)``, float32 or float64. Kept for the gradient: the logits.

    Raises:
      InputError: shapes that do not belong together, a head without a source, teachers
        that are no probabilities, a label out of range, or an option out of range.

    Source: Borup, Phoo and Hariharan, "Distilling from Similar Tasks for Transfer
    Learning on a Budget", 2023 (https://arxiv.org/abs/2304.12314), from the abstract
    and as recalled.

    >>> z, y = jnp.zeros((1, 2)), jnp.array([0])
    >>> given = {"heads": (z,), "teachers": (jnp.array([[1.0, 0.0]]),)}
    >>> loss = multi_source_distillation(z, y, weights=jnp.ones(1), **given)
    >>> f"{loss[0]:.3f}"
    '0.693'
    """
    check_arguments(multi_source_distillation, {"task_weight": task_weight})
    check_labels(logits, labels, where)
    count = labels.shape[0]
    has = valid(where, count, logits)
    if labelled is not None:
        check_shape("labelled", labelled, (count,))
        has = has * counted(labelled).astype(has.dtype)
    refuse_out_of_range(
        labels, logits.shape[-1], has > 0, of="classes of the task's logits"
    )
    check_shape("weights", weights, (len(heads),))
    if len(teachers) != len(heads):
        raise InputError(
            f"teachers must be one for each of the {len(heads)} heads; got "
            f"{len(teachers)}"
        )
    task = cross_entropy(logits, labels, where=has)
    part = jnp.asarray(task_weight, task.dtype)
    w = jax.lax.stop_gradient(weights.astype(task.dtype))
    taught = jnp.zeros_like(task)
    for s, (head, probability) in enumerate(zip(heads, teachers, strict=True)):
        check_floats(f"heads[{s}]", head, 2)
        check_shape(f"heads[{s}]", head, (count, head.shape[1]))
        check_shape(f"teachers[{s}]", probability, head.shape)
        check_probabilities(f"teachers[{s}]", probability, where)
        log_p = jax.nn.log_softmax(kept(head.astype(task.dtype), where))
        q = jax.lax.stop_gradient(kept(probability.astype(task.dtype), where))
        taught = taught - w[s] * jnp.sum(jnp.where(q == 0, 0, q * log_p), axis=-1)
    return part * task + (1 - part) * taught
