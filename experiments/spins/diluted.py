r"""Mean-field theory of a Hopfield network whose patterns have blank entries.

A pattern's entry is 0 with probability d and +-1 with (1 - d)/2 each; for few patterns
and many spins the overlaps of the state solve

.. math:: m_\mu = E\Big[\xi_\mu \tanh\Big(\beta \sum_\nu \xi_\nu m_\nu\Big)\Big].

Below :math:`T_c = 1 - d` several patterns are retrieved at once: as a hierarchy
:math:`m_k = (1 - d) d^{k - 1}` at low temperature and few blanks, equally strong near
:math:`T_c` with many. The expectation is a sum over all :math:`3^K` columns.

Source: Agliari et al., multitasking associative networks, from the abstract; formulas
ours, checked in the tests.
"""

from __future__ import annotations

import functools
import itertools

import numpy as np


@functools.lru_cache(maxsize=16)
def columns(patterns: int, blank: float) -> tuple[np.ndarray, np.ndarray]:
    """All columns of entries, and their probabilities.

    Args:
      patterns: K.
      blank: d.

    Returns:
      ``(3**K, K)`` and ``(3**K,)``.

    >>> entries, chances = columns(2, 0.5)
    >>> entries.shape, float(chances.sum())
    ((9, 2), 1.0)
    """
    entries = np.array(list(itertools.product([-1.0, 0.0, 1.0], repeat=patterns)))
    zeros = np.sum(entries == 0, axis=1)
    return entries, blank**zeros * ((1 - blank) / 2) ** (patterns - zeros)


def mean_field(overlaps: np.ndarray, blank: float, beta: float) -> np.ndarray:
    """One step of the self-consistency.

    Args:
      overlaps: m, ``(K,)``.
      blank: d.
      beta: inverse temperature; infinity: the sign, 0 at 0.

    Returns:
      ``(K,)``.
    """
    entries, chances = columns(len(overlaps), blank)
    field = entries @ overlaps
    # Rounding makes no sign of a field that is 0.
    field = np.where(np.abs(field) < 1e-14, 0, field)
    state = np.sign(field) if np.isinf(beta) else np.tanh(beta * field)
    return entries.T @ (chances * state)


def solution(
    start: np.ndarray, blank: float, beta: float, steps: int = 5000
) -> np.ndarray:
    """The fixed point that is reached from overlaps, damped by a half.

    Args:
      start: ``(K,)``.
      blank: d.
      beta: inverse temperature.
      steps: the most that are taken.

    Returns:
      ``(K,)``.
    """
    m = np.asarray(start, float)
    for _ in range(steps):
        new = (m + mean_field(m, blank, beta)) / 2
        if np.max(np.abs(new - m)) < 1e-13:
            break
        m = new
    return m


def hierarchy(patterns: int, blank: float) -> np.ndarray:
    """Overlaps of spins that follow the first pattern that is not blank there.

    >>> hierarchy(3, 0.5).tolist()
    [0.5, 0.25, 0.125]
    """
    return (1 - blank) * blank ** np.arange(patterns)


def majority(patterns: int, blank: float) -> np.ndarray:
    """Overlaps of spins that follow the majority of the patterns."""
    return mean_field(np.ones(patterns), blank, np.inf)
