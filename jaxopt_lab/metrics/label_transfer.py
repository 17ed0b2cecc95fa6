"""Transferability from the labels that a source network gives to the target."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.metrics.transfer_checks import class_numbers, matrix


def leep(source_probs: Any, labels: Any) -> float:
    r"""Log expected empirical prediction (LEEP) of a source network on a target task.

    With the probabilities :math:`\theta_i(z)` of the source's classes z,

    .. math:: \frac{1}{n} \sum_i \log \sum_z \hat P(y_i \mid z) \, \theta_i(z), \quad
        \hat P(y, z) = \frac{1}{n} \sum_{i : y_i = y} \theta_i(z) .

    Args:
      source_probs: ``(n, Z)``, rows that sum to 1.
      labels: ``(n,)`` of the target task, numbers or texts, of two classes at least.

    Returns:
      At most 0; the mean log-likelihood of a classifier that draws z and then y. On
      the host in float64.

    Raises:
      InputError: shapes do not fit, there is one class, or rows are no probabilities.

    Source: Nguyen et al., "LEEP: A New Measure to Evaluate Transferability of Learned
    Representations", 2020 (https://arxiv.org/abs/2002.12462).

    >>> leep([[1.0, 0.0], [0.0, 1.0]], [0, 1])
    0.0
    """
    probs, numbers, given = _conditional(source_probs, labels)
    return float(np.mean(np.log(np.sum(given[numbers] * probs, axis=1))))


def negative_conditional_entropy(source_probs: Any, labels: Any) -> float:
    r"""Negative conditional entropy (NCE) of the target's labels given the source's.

    .. math:: -H(Y \mid Z) = \sum_{y, z} \hat P(y, z) \log \hat P(y \mid z)

    with the most probable class z of each example.

    Args:
      source_probs: as of ``leep``; of equal probabilities the first class counts.
      labels: likewise.

    Returns:
      At most 0, and at most ``leep`` of the same hard labels, to which it is equal.

    Raises:
      InputError: as ``leep``.

    Source: Tran, Nguyen and Hassner, "Transferability and Hardness of Supervised
    Classification Tasks", 2019 (https://arxiv.org/abs/1908.08142).

    >>> round(negative_conditional_entropy([[1.0, 0.0], [1.0, 0.0]], [0, 1]), 6)
    -0.693147
    """
    probs = _checked(source_probs)
    return leep(np.eye(probs.shape[1])[np.argmax(probs, axis=1)], labels)


def _checked(source_probs: Any) -> np.ndarray:
    probs = matrix(source_probs, "source_probs")
    sums = probs.sum(axis=1)
    wrong = (probs < 0).any(axis=1) | (np.abs(sums - 1) > 1e-4)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(
            f"source_probs must be probabilities; row {row} sums to {sums[row]:g}, "
            f"its least entry is {probs[row].min():g}"
        )
    return probs


def _conditional(
    source_probs: Any, labels: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities, labels, and those of the labels given the source's classes."""
    probs = _checked(source_probs)
    numbers, count = class_numbers(labels, len(probs))
    joint = np.eye(count)[numbers].T @ probs
    total = joint.sum(axis=0)
    return probs, numbers, joint / np.where(total > 0, total, 1)
