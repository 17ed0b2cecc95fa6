"""Difference between probabilities and frequencies of every class, in bins."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.labels import is_class
from jaxopt_lab.core.options import COUNT, Interval, check_arguments
from jaxopt_lab.core.typing import Metrics
from jaxopt_lab.core.where import or_zero
from jaxopt_lab.metrics.mergeable import MergeableMetric, labelled, merge

NAME = "classwise_calibration_error"
_SEVERAL = Interval(2)


class ClasswiseSums(NamedTuple):
    """Sums of the classwise calibration error.

    Attributes:
      differences: ``(classes, bins)``, weighted outcomes less probabilities.
      weight: scalar, weight of all examples.
    """

    differences: jax.Array
    weight: jax.Array


def classwise_calibration_error(
    *, classes: Annotated[int, _SEVERAL] = 10, bins: Annotated[int, COUNT] = 15
) -> MergeableMetric:
    r"""Mean over classes of the difference of probability and frequency, in bins.

    With the examples :math:`B_{cb}` whose probability :math:`p_{ic}` of class c is in
    :math:`((b - 1) / n, b / n]`, the first bin with 0 in it,

    .. math:: \frac{1}{C} \sum_c \sum_b \frac{1}{N} \left| \sum_{i \in B_{cb}}
        \left( [y_i = c] - p_{ic} \right) \right|.

    It sees all probabilities, where ``expected_calibration_error`` sees the largest.

    Args:
      classes: :math:`C`, number of classes.
      bins: :math:`n`, bins of equal width; 1 compares the mean probability of each
        class with its frequency.

    Returns:
      The metric; ``compute`` gives ``{"classwise_calibration_error"}`` in
      ``[0, 2 / C]``, lower is better. Logits that are NaN give NaN. State:
      ``classes * bins + 1`` numbers. The gradient holds the bins constant.

    Raises:
      InputError: ``classes`` is no whole number of at least 2, ``bins`` none of at
        least 1; of ``update``: the logits have another number of classes.

    Source: Kull et al., "Beyond temperature scaling: Obtaining well-calibrated
    multi-class probabilities with Dirichlet calibration", 2019
    (https://arxiv.org/abs/1910.12656).

    >>> metric = classwise_calibration_error(classes=2, bins=10)
    >>> batch = {"outputs": jnp.zeros((4, 2)), "targets": jnp.array([0, 0, 1, 1])}
    >>> metric.compute(metric.update(metric.init(), batch))[NAME].item()
    0.0
    """
    check_arguments(classwise_calibration_error, locals())

    def init(dtype: DTypeLike = jnp.float32) -> ClasswiseSums:
        return ClasswiseSums(jnp.zeros((classes, bins), dtype), jnp.zeros((), dtype))

    def update(sums: ClasswiseSums, batch: Mapping[str, jax.Array]) -> ClasswiseSums:
        logits, labels, weight = labelled(batch)
        if logits.shape[1] != classes:
            raise InputError(
                f"outputs must have {classes} classes; got {logits.shape[1]}"
            )
        p = jax.nn.softmax(logits)
        outcomes = is_class(labels, classes).astype(p.dtype)
        edges = jnp.arange(1, bins, dtype=p.dtype) / bins
        place = jnp.searchsorted(edges, jax.lax.stop_gradient(p), side="left")
        place = jnp.minimum(place, bins - 1)
        apart = or_zero(outcomes - p, weight) * weight[:, None]
        apart = apart.astype(sums.differences.dtype)
        every = jnp.broadcast_to(jnp.arange(classes, dtype=jnp.int32)[None], p.shape)
        differences = sums.differences.at[every, place].add(apart)
        total = sums.weight + jnp.sum(weight).astype(sums.weight.dtype)
        return ClasswiseSums(differences, total)

    def compute(sums: ClasswiseSums) -> Metrics:
        return {NAME: jnp.sum(jnp.abs(sums.differences)) / (classes * sums.weight)}

    return MergeableMetric(init, update, merge, compute)


def frequency_gap(outputs: jax.Array, targets: jax.Array) -> Metrics:
    """Mean difference of the mean probability of a class and its frequency.

    Args:
      outputs: logits, ``(B, C)``.
      targets: labels, ``(B,)``.

    Returns:
      ``{"classwise_calibration_error"}``, as with one bin.

    >>> frequency_gap(jnp.zeros((2, 2)), jnp.array([0, 1]))[NAME].item()
    0.0
    """
    p = jax.nn.softmax(outputs)
    own = is_class(targets, outputs.shape[1]).astype(p.dtype)
    return {NAME: jnp.mean(jnp.abs(jnp.mean(p - own, axis=0)))}
