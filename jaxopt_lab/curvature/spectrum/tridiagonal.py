"""Eigenpairs of the tridiagonal matrix of Lanczos."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array


class Ritz(NamedTuple):
    """Eigenpairs of T; see ``LanczosResult``."""

    values: Array | np.ndarray
    weights: Array | np.ndarray
    residuals: Array | np.ndarray
    rotation: Array | np.ndarray


def ritz_on_host(alphas: np.ndarray, betas: np.ndarray) -> Ritz:
    """Eigenpairs in float64 on the host, whatever the type of the vectors.

    Args:
      alphas: diagonal, ``(k,)``.
      betas: norms after each step, ``(k,)``; the last is the residual's.

    Returns:
      The pairs, ascending; all NaN where T is not finite.
    """
    k = len(alphas)
    tridiagonal = np.diag(alphas)
    if k > 1:
        tridiagonal += np.diag(betas[:-1], 1) + np.diag(betas[:-1], -1)
    if not np.all(np.isfinite(tridiagonal)):
        bad = np.full(k, np.nan)
        return Ritz(bad, bad, bad, np.full((k, k), np.nan))
    values, rotation = np.linalg.eigh(tridiagonal)
    return Ritz(values, rotation[0] ** 2, betas[-1] * abs(rotation[-1]), rotation)


def ritz_traced(alphas: Array, betas: Array, valid: Array, scale: Array) -> Ritz:
    """The same inside a program, where only the first ``valid`` steps count.

    Args:
      alphas: diagonal, ``(k,)``, zeros after ``valid``.
      betas: norms after each step, ``(k,)``, zeros after ``valid``.
      valid: number of steps, traced.
      scale: bound of a row of T, halved: the eigenvalues lie within twice of it.

    Returns:
      The pairs, ascending, with ``k - valid`` copies of the largest value at the end,
      of weight 0 and with columns of zeros.
    """
    k = alphas.shape[0]
    inside = jnp.arange(k) < valid
    # Padding above the spectrum, so that sorting puts the true values first, and of
    # the same scale, so that rounding errors do not grow.
    outside = jnp.where(scale > 0, 4 * scale, jnp.ones_like(scale))
    off = jnp.where(jnp.arange(1, k) < valid, betas[: k - 1], 0)
    tridiagonal = jnp.diag(jnp.where(inside, alphas, outside))
    tridiagonal = tridiagonal + jnp.diag(off, 1) + jnp.diag(off, -1)
    values, rotation = jnp.linalg.eigh(tridiagonal)
    rotation = jnp.where(inside[None] & inside[:, None], rotation, 0)
    values = jnp.where(inside, values, values[valid - 1])
    values = jnp.where(valid > 0, values, jnp.nan)
    residuals = betas[valid - 1] * jnp.abs(rotation[valid - 1])
    return Ritz(values, rotation[0] ** 2, residuals, rotation)
