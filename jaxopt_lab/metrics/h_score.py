"""H-score and leave-one-out accuracy of features."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, check_arguments
from jaxopt_lab.metrics.transfer_checks import class_numbers, matrix


def h_score(features: Any, labels: Any) -> float:
    r"""H-score of features for a task.

    .. math:: \mathrm{tr}\big(\mathrm{cov}(F)^+ \, \mathrm{cov}(\mathrm E[F \mid y])
        \big)

    Args:
      features: ``(n, D)``, finite.
      labels: ``(n,)``, numbers or texts, of two classes at least.

    Returns:
      From 0 to the least of D and the number of classes less 1; the same for all
      invertible linear maps of the features. Of no more examples than features, in
      general position, it is the number of classes less 1 whatever they are. On the
      host in float64, :math:`n D^2`.

    Raises:
      InputError: shapes do not fit, a feature is not finite, or there is one class.

    Source: Bao et al., "An Information-Theoretic Approach to Transferability in Task
    Transfer Learning", 2019.

    >>> round(h_score([[0.0], [0.0], [1.0], [1.0]], [0, 0, 1, 1]), 6)
    1.0
    """
    x = matrix(features, "features")
    numbers, count = class_numbers(labels, len(x))
    x = x - x.mean(axis=0)
    one_hot = np.eye(count)[numbers]
    # Through the singular vectors: the trace of a projection, with no matrix inverted.
    u, s, _ = np.linalg.svd(x, full_matrices=False)
    kept = u[:, s > s.max(initial=0) * max(x.shape) * np.finfo(np.float64).eps]
    sums = one_hot.T @ kept
    return float(np.sum(sums**2 / one_hot.sum(axis=0)[:, None]))


def leave_one_out_accuracy(
    features: Any, labels: Any, *, k: Annotated[int, COUNT] = 1
) -> float:
    """Accuracy of the k nearest neighbours of each example among the others.

    Args:
      features: ``(n, D)``, finite.
      labels: ``(n,)``, numbers or texts, of two classes at least.
      k: number of neighbours, fewer than n. The class that most of them have is
        chosen; of several, the one of the nearest.

    Returns:
      From 0 to 1. On the host in float64: :math:`n^2 D`, and ``n * n`` numbers.

    Raises:
      InputError: shapes do not fit, ``k`` is too large, or there is one class.

    >>> leave_one_out_accuracy([[0.0], [0.1], [5.0], [5.1]], [0, 0, 1, 1])
    1.0
    """
    check_arguments(leave_one_out_accuracy, {"k": k})
    x = matrix(features, "features")
    numbers, count = class_numbers(labels, len(x))
    if k >= len(x):
        raise InputError(f"k must be below the number of examples {len(x)}; got {k}")
    x = x - x.mean(axis=0)
    squares = np.sum(x**2, axis=1)
    distances = squares[:, None] + squares[None] - 2 * x @ x.T
    np.fill_diagonal(distances, np.inf)
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    votes = np.eye(count)[numbers[order]]
    # Halves of halves: nearer neighbours decide between classes with as many votes.
    nearer = votes * (0.5 ** np.arange(1, k + 1))[None, :, None]
    chosen = np.argmax(votes.sum(axis=1) + 0.5 * nearer.sum(axis=1), axis=1)
    return float(np.mean(chosen == numbers))
