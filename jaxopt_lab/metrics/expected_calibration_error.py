"""Difference between confidence and accuracy, in bins of the confidence."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.labels import is_largest
from jaxopt_lab.core.options import COUNT, check_arguments
from jaxopt_lab.core.typing import Metrics
from jaxopt_lab.metrics.mergeable import MergeableMetric, labelled, merge

NAME = "expected_calibration_error"


class CalibrationSums(NamedTuple):
    """Sums of the calibration error; ``bins`` entries each.

    Attributes:
      correct: weight of the correct examples of each bin.
      confidence: weighted confidences of each bin.
      weight: weight of all examples of each bin.
    """

    correct: jax.Array
    confidence: jax.Array
    weight: jax.Array


def expected_calibration_error(*, bins: Annotated[int, COUNT] = 15) -> MergeableMetric:
    r"""Mean difference between confidence and accuracy, in bins of the confidence.

    The confidence is the largest probability of the softmax. With the examples
    :math:`B_b` whose confidence is in :math:`((b - 1) / n, b / n]`,

    .. math:: \sum_b \frac{|B_b|}{N}
        \left| \mathrm{acc}(B_b) - \mathrm{conf}(B_b) \right|.

    Args:
      bins: :math:`n`, the number of bins of equal width; 1 is the difference of mean
        confidence and accuracy.

    Returns:
      The metric; ``compute`` gives ``{"expected_calibration_error"}`` in [0, 1], lower
      is better. Logits that are NaN give NaN. State: ``3 * bins`` numbers. The
      gradient is that of the confidences, the bins held constant.

    Raises:
      InputError: ``bins`` is not a whole number of at least 1; at the call, see
        ``MergeableMetric``.

    Source: Guo et al., "On Calibration of Modern Neural Networks", 2017
    (https://arxiv.org/abs/1706.04599).

    >>> metric = expected_calibration_error(bins=10)
    >>> batch = {"outputs": jnp.zeros((4, 2)), "targets": jnp.array([0, 0, 1, 1])}
    >>> metric.compute(metric.update(metric.init(), batch))[NAME].item()
    0.0
    """
    check_arguments(expected_calibration_error, locals())

    def init(dtype: DTypeLike = jnp.float32) -> CalibrationSums:
        return CalibrationSums(*(jnp.zeros(bins, dtype) for _ in range(3)))

    def update(
        sums: CalibrationSums, batch: Mapping[str, jax.Array]
    ) -> CalibrationSums:
        logits, labels, weight = labelled(batch)
        correct, confidence = _predictions(logits, labels)
        # The comparisons are exact where those of a rounded product are not.
        edges = jnp.arange(1, bins, dtype=confidence.dtype) / bins
        place = jnp.sum(confidence[:, None] > edges[None], axis=1, dtype=jnp.int32)
        inside = place[:, None] == jnp.arange(bins, dtype=jnp.int32)[None]
        parts = jnp.where(inside, weight[:, None], 0)
        new = (
            jnp.sum(parts * correct[:, None], axis=0),
            jnp.sum(parts * confidence[:, None], axis=0),
            jnp.sum(parts, axis=0),
        )
        added = (a + b.astype(a.dtype) for a, b in zip(sums, new, strict=True))
        return CalibrationSums(*added)

    def compute(sums: CalibrationSums) -> Metrics:
        gaps = jnp.abs(sums.correct - sums.confidence)
        return {NAME: jnp.sum(gaps) / jnp.sum(sums.weight)}

    return MergeableMetric(init, update, merge, compute)


def confidence_gap(outputs: jax.Array, targets: jax.Array) -> Metrics:
    """Difference of mean confidence and accuracy of one batch, without weights.

    Args:
      outputs: logits, ``(B, C)``.
      targets: labels, ``(B,)``.

    Returns:
      ``{"expected_calibration_error"}``, as with one bin.

    >>> confidence_gap(jnp.zeros((2, 2)), jnp.array([0, 1]))[NAME].item()
    0.0
    """
    correct, confidence = _predictions(outputs, targets)
    return {NAME: jnp.abs(jnp.mean(correct) - jnp.mean(confidence))}


def _predictions(logits: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
    confidence = jnp.max(jax.nn.softmax(logits), axis=-1)
    return is_largest(logits, labels).astype(confidence.dtype), confidence
