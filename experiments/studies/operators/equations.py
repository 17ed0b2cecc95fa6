"""Pairs of data and solutions of two equations on the unit square."""

from __future__ import annotations

import numpy as np


def stiffness(a: np.ndarray) -> np.ndarray:
    """The matrix of -div(a grad u) by finite volumes, with u = 0 at the border.

    Args:
      a: coefficients at the points, ``(n, n)``, above 0.

    Returns:
      ``(n^2, n^2)``, of harmonic means of neighbours; the border has the coefficient
      of the point beside it.
    """
    n = len(a)
    at = np.arange(n * n).reshape(n, n)
    wide = np.pad(a, 1, mode="edge")
    matrix = np.zeros((n * n, n * n))
    for di, dj in ((0, 1), (1, 0), (0, -1), (-1, 0)):
        other = wide[1 + di : 1 + di + n, 1 + dj : 1 + dj + n]
        mean = 2 * a * other / (a + other)
        matrix[at, at] += mean
        rows = slice(max(-di, 0), n - max(di, 0)), slice(max(-dj, 0), n - max(dj, 0))
        moved = slice(max(di, 0), n + min(di, 0)), slice(max(dj, 0), n + min(dj, 0))
        matrix[at[rows], at[moved]] -= mean[rows]
    return matrix * (n + 1) ** 2


def smooth(rng: np.random.Generator, count: int, n: int) -> np.ndarray:
    """Random sums of sines, their amplitudes falling with the frequency.

    Args:
      rng: the generator.
      count: number of functions.
      n: points of a side.

    Returns:
      ``(count, n, n)``, of mean square about 1.
    """
    most = min(n, 8)
    k = np.arange(1, most + 1)
    waves = np.sin(np.pi * np.outer(k, np.arange(1, n + 1)) / (n + 1))
    sizes = 1.0 / (k[:, None] ** 2 + k[None] ** 2)
    drawn = rng.normal(size=(count, most, most)) * sizes
    values = np.einsum("ckl,kx,ly->cxy", drawn, waves, waves)
    return values / np.sqrt(np.mean(values**2))


def poisson(rng: np.random.Generator, count: int, n: int) -> tuple[np.ndarray, ...]:
    """Right sides f and solutions u of -div grad u = f.

    Args:
      rng: the generator.
      count: number of pairs.
      n: points of a side.

    Returns:
      ``(f, u)``, ``(count, n, n, 1)`` each.
    """
    f = smooth(rng, count, n)
    inverse = np.linalg.inv(stiffness(np.ones((n, n))))
    u = f.reshape(count, -1) @ inverse.T
    return f[..., None], u.reshape(f.shape)[..., None]


def darcy(rng: np.random.Generator, count: int, n: int) -> tuple[np.ndarray, ...]:
    """Coefficients a of 3 and 12 and solutions u of -div(a grad u) = 1.

    Args:
      rng: the generator.
      count: number of pairs.
      n: points of a side.

    Returns:
      ``(a, u)``, ``(count, n, n, 1)`` each.
    """
    a = np.where(smooth(rng, count, n) > 0, 12.0, 3.0)
    one = np.ones(n * n)
    u = [np.linalg.solve(stiffness(own), one).reshape(n, n) for own in a]
    return a[..., None], np.stack(u)[..., None]


EQUATIONS = {"Poisson": poisson, "Darcy": darcy}
