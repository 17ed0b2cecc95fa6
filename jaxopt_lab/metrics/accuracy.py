"""Share of the examples whose label is among the largest logits."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.labels import is_class, is_largest
from jaxopt_lab.core.options import COUNT, check_arguments
from jaxopt_lab.core.typing import Metrics
from jaxopt_lab.metrics.mergeable import MergeableMetric, labelled, merge


class AccuracySums(NamedTuple):
    """Sums of the accuracy.

    Attributes:
      correct: scalar, weight of the correct examples.
      weight: scalar, weight of all examples.
    """

    correct: jax.Array
    weight: jax.Array


def accuracy(*, top: Annotated[int, COUNT] = 1) -> MergeableMetric:
    """Share of the examples whose label is among the largest logits.

    Of equal logits the one of the lower class counts as larger, as for ``argmax``.

    Args:
      top: number of logits that count; at least the number of classes gives 1.

    Returns:
      The metric; ``compute`` gives ``{"accuracy"}`` in [0, 1]. Logits that are NaN
      give NaN. State: 2 numbers. It has no useful gradient.

    Raises:
      InputError: ``top`` is not a whole number of at least 1; at the call, see
        ``MergeableMetric``.

    >>> metric = accuracy()
    >>> batch = {"outputs": jnp.array([[2.0, 1.0], [3.0, 0.0]]),
    ...          "targets": jnp.array([0, 1])}
    >>> metric.compute(metric.update(metric.init(), batch))["accuracy"].item()
    0.5
    """
    check_arguments(accuracy, locals())

    def init(dtype: DTypeLike = jnp.float32) -> AccuracySums:
        return AccuracySums(jnp.zeros((), dtype), jnp.zeros((), dtype))

    def update(sums: AccuracySums, batch: Mapping[str, jax.Array]) -> AccuracySums:
        logits, labels, weight = labelled(batch)
        correct = _correct(logits, labels, top)
        dtype = sums.correct.dtype
        return AccuracySums(
            sums.correct + jnp.sum(weight * correct).astype(dtype),
            sums.weight + jnp.sum(weight).astype(dtype),
        )

    def compute(sums: AccuracySums) -> Metrics:
        return {"accuracy": sums.correct / sums.weight}

    return MergeableMetric(init, update, merge, compute)


def top_one_accuracy(outputs: jax.Array, targets: jax.Array) -> Metrics:
    """Accuracy of one batch without weights.

    Args:
      outputs: logits, ``(B, C)``.
      targets: labels, ``(B,)``.

    Returns:
      ``{"accuracy"}``.

    >>> top_one_accuracy(jnp.eye(2), jnp.array([0, 1]))["accuracy"].item()
    1.0
    """
    correct = is_largest(outputs, targets)
    return {"accuracy": jnp.mean(correct.astype(outputs.dtype))}


def _correct(logits: jax.Array, labels: jax.Array, top: int) -> jax.Array:
    classes = jnp.arange(logits.shape[-1], dtype=jnp.int32)[None]
    is_label = is_class(labels, logits.shape[-1])
    own = jnp.sum(jnp.where(is_label, logits, 0), axis=-1, keepdims=True)
    earlier = (logits == own) & (classes < labels[:, None].astype(jnp.int32))
    rank = jnp.sum((logits > own) | earlier, axis=-1)
    hit = ((rank < top) & jnp.any(is_label, axis=-1)).astype(logits.dtype)
    return jnp.where(jnp.any(jnp.isnan(logits), axis=-1), jnp.nan, hit)
