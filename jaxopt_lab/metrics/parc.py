"""Transferability of features from the ranks of their correlations."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, check_arguments
from jaxopt_lab.metrics.rank_correlation import rank_correlation
from jaxopt_lab.metrics.transfer_checks import class_numbers, matrix


def parc(
    features: Any, labels: Any, *, components: Annotated[int | None, COUNT] = None
) -> float:
    r"""Pairwise annotation representation comparison (PARC) of features and labels.

    With the Pearson correlations of all pairs of examples, of their features and of
    their one-hot labels,

    .. math:: 100 \; \mathrm{Spearman}\big(1 - \mathrm{corr}(F)_{i < j},
        1 - \mathrm{corr}(Y)_{i < j}\big):

    features in which examples of one class are alike, and those of others are not, are
    expected to transfer. Each feature is brought to mean 0 and variance 1 over the
    examples before; one that does not vary becomes 0.

    Args:
      features: ``(n, D)`` of a source network, ``n >= 3``, finite.
      labels: ``(n,)`` of the target task, numbers or texts, of two classes at least.
      components: keep so many principal components of the features; ``None``: all.

    Returns:
      From -100 to 100. Computed on the host in float64: :math:`n^2 D` operations and
      four arrays of ``n * n`` numbers; the source takes at most 500 examples. 100 for
      the one-hot labels themselves where all classes are of one size; 0 where all
      features of two examples are alike.

    Raises:
      InputError: shapes do not fit, a feature is not finite, or there is one class.

    Source: Bolya, Mittapalli and Hoffman, "Scalable Diverse Model Selection for
    Accessible Transfer Learning", 2021 (https://arxiv.org/abs/2111.06977), and its
    code, dbolya/parc.

    >>> labels = [0, 0, 1, 1]
    >>> round(parc(np.eye(2)[labels], labels), 6)
    100.0
    """
    check_arguments(parc, {"components": components})
    x = matrix(features, "features", least=3)
    numbers, count = class_numbers(labels, len(x))
    x = x - x.mean(axis=0)
    spread = x.std(axis=0)
    # What is left of a constant column is rounding.
    varies = spread > 1e-12 * np.maximum(np.abs(np.asarray(features)).max(axis=0), 1)
    x = np.where(varies, x / np.where(varies, spread, 1), 0.0)
    if components is not None and components < x.shape[1]:
        u, s, _ = np.linalg.svd(x, full_matrices=False)
        x = u[:, :components] * s[:components]
    return 100 * rank_correlation(
        _dissimilarities(x), _dissimilarities(np.eye(count)[numbers])
    )


def representation_similarity(a: Any, b: Any) -> float:
    """Rank correlation of the dissimilarities of two representations (RSA).

    Args:
      a: ``(n, D)``, features of a network, ``n >= 3``, finite.
      b: ``(n, E)``, of another network for the same examples.

    Returns:
      Spearman's correlation of one minus Pearson's over all pairs of examples, from -1
      to 1. Cost: as of ``parc``.

    Raises:
      InputError: shapes do not fit, or a feature is not finite.

    Source: Dwivedi and Roig, "Representation Similarity Analysis for Efficient Task
    Taxonomy and Transfer Learning", 2019 (https://arxiv.org/abs/1904.11740).

    >>> x = np.random.default_rng(0).normal(size=(5, 3))
    >>> round(representation_similarity(x, 2 * x + 1), 6)
    1.0
    """
    x, y = matrix(a, "a", least=3), matrix(b, "b", least=3)
    if len(x) != len(y):
        raise InputError(f"a and b must have as many rows; got {len(x)} and {len(y)}")
    return rank_correlation(_dissimilarities(x), _dissimilarities(y))


def _dissimilarities(x: np.ndarray) -> np.ndarray:
    """One minus the correlation of each pair of rows; 1 for a row that is constant."""
    size = np.abs(x).max(axis=1, keepdims=True)
    x = x - x.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    varies = norms > 1e-12 * np.maximum(size, np.finfo(np.float64).tiny)
    unit = np.where(varies, x / np.where(varies, norms, 1), 0.0)
    # Equal correlations are to have equal ranks, whatever the order of summation.
    return np.round(1 - (unit @ unit.T)[np.triu_indices(len(x), 1)], 12)
