"""Densities from Ritz values and quadrature weights."""

from __future__ import annotations

import numpy as np


def broadened(
    nodes: np.ndarray, weights: np.ndarray, grid: np.ndarray, sigma2: float
) -> np.ndarray:
    r"""Weighted points as a density: a Gaussian of variance ``sigma2`` for each.

    .. math:: \phi(x) = \sum_i c_i\, \mathcal{N}(x; \theta_i, \sigma^2)

    Args:
      nodes: the points, ``(..., k)``.
      weights: their weights, same shape.
      grid: evaluation points, ``(g,)``.
      sigma2: variance of the Gaussians, positive.

    Returns:
      ``(..., g)``, float64. Not renormalized on the grid: mass outside of the grid is
      missing from the sum, which is information.

    >>> density = broadened(np.array([0.0]), np.array([1.0]), np.array([0.0]), 1.0)
    >>> round(float(density[0]), 4)
    0.3989
    """
    nodes, grid = np.asarray(nodes, np.float64), np.asarray(grid, np.float64)
    weights = np.asarray(weights, np.float64)
    total = np.zeros((*nodes.shape[:-1], len(grid)))
    # Loop over nodes: a full table would have probes x nodes x grid entries.
    for i in range(nodes.shape[-1]):
        distance = grid - nodes[..., i, None]
        total += weights[..., i, None] * np.exp(-(distance**2) / (2 * sigma2))
    return total / np.sqrt(2 * np.pi * sigma2)


def standard_error(samples: np.ndarray) -> np.ndarray:
    """Standard error of the mean over the first axis.

    Args:
      samples: independent samples, ``(m, ...)``.

    Returns:
      The sample deviation over the root of m; NaN for a single sample.
    """
    m = len(samples)
    if m < 2:
        return np.full(np.shape(samples)[1:], np.nan)
    return np.std(samples, axis=0, ddof=1) / np.sqrt(m)
