"""Mean score under corruptions, alone and relative to that of clean inputs."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from jaxopt_lab.core.errors import InputError


class CorruptionScore(NamedTuple):
    """Robustness of a model.

    Attributes:
      mean: mPC, the mean score over corruptions and severities.
      relative: rPC, that over the score of clean inputs; NaN where this is 0.
    """

    mean: np.ndarray
    relative: np.ndarray


def mean_corruption_score(clean: Any, corrupted: Any) -> CorruptionScore:
    r"""The mean score over corruptions, and its ratio to the clean one.

    .. math:: \mathrm{mPC} = \frac{1}{C S} \sum_{c, s} P_{c, s}, \qquad
        \mathrm{rPC} = \frac{\mathrm{mPC}}{P_\mathrm{clean}}

    Args:
      clean: scores of clean inputs, ``(...)``, at least 0; of models or seeds.
      corrupted: ``(corruptions, severities, ...)``.

    Returns:
      Both, ``(...)``, of float64 on the host.

    Raises:
      InputError: shapes that do not belong together, no corruption, or a score below 0.

    Source: Michaelis et al., "Benchmarking Robustness in Object Detection", 2019
    (https://arxiv.org/abs/1907.07484).

    >>> found = mean_corruption_score(0.8, [[0.6, 0.4], [0.8, 0.2]])
    >>> float(found.mean), float(found.relative)
    (0.5, 0.625)
    """
    own, every = (np.asarray(x, np.float64) for x in (clean, corrupted))
    if every.shape[2:] != own.shape or every.ndim < 2 or not all(every.shape[:2]):
        raise InputError(
            f"corrupted must be (corruptions, severities, *{own.shape}) with at least "
            f"one of each; got {every.shape}"
        )
    if np.any(own < 0) or np.any(every < 0):
        raise InputError("scores must be at least 0; got a negative one")
    mean = every.mean(axis=(0, 1))
    none = own == 0
    return CorruptionScore(mean, np.where(none, np.nan, mean / np.where(none, 1, own)))
