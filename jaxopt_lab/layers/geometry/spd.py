"""Symmetric positive definite matrices in the Bures-Wasserstein geometry."""
# Its examples wait for pytest --full.

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.known_values import known_values
from jaxopt_lab.core.statistics import batch_mean
from jaxopt_lab.core.typing import Scalar
from jaxopt_lab.layers.geometry.spectral import (
    spectral_product,
    sym_fun,
    symmetric,
    transposed,
)


def _floored(w: jax.Array) -> jax.Array:
    # Far below the rounding of any eigenvalue that counts; its roots are finite.
    return jnp.maximum(w, jnp.asarray(float(jnp.finfo(w.dtype).eps) ** 2, w.dtype))


def spd_power(x: jax.Array, power: float) -> jax.Array:
    r"""A power of positive definite matrices, :math:`X^p`.

    Args:
      x: ``(..., n, n)``.
      power: p, not 0.

    Returns:
      The matrices. Eigenvalues at or below the square of the rounding count as that:
      a matrix that is not positive definite has a finite result, which is not a power.

    >>> spd_power(jnp.array([[4.0]]), -0.5).tolist()
    [[0.5]]
    """
    if power == 1:
        return symmetric(x)

    def divided(a: jax.Array, b: jax.Array) -> jax.Array:
        # b^(p - 1) (r^p - 1) / (r - 1) for r = a / b, by logarithms of r.
        a, b = _floored(a), _floored(b)
        t = (a - b) / b
        zero = t == 0
        t = jnp.where(zero, 1, t)
        log = jnp.log1p(t)
        p = jnp.asarray(power, a.dtype)
        slope = jnp.where(zero, p, jnp.expm1(p * log) / t)
        return b ** jnp.asarray(power - 1, a.dtype) * slope

    f = lambda w: _floored(w) ** jnp.asarray(power, w.dtype)
    return sym_fun(x, f, f, divided=divided)


def spd_sqrt(x: jax.Array) -> jax.Array:
    """The root of positive definite matrices."""
    return spd_power(x, 0.5)


def sym_abs(x: jax.Array) -> jax.Array:
    """Symmetric matrices with the absolute values of their eigenvalues."""
    return sym_fun(x, jnp.abs, jnp.sign)


def spd_geodesic(a: jax.Array, b: jax.Array, t: Scalar) -> jax.Array:
    r"""The Bures-Wasserstein geodesic between two positive definite matrices.

    .. math:: (1 - t)^2 A + t^2 B + t (1 - t) \left((AB)^{1/2} + (BA)^{1/2}\right).

    Args:
      a: A, ``(..., n, n)``.
      b: B.
      t: 0 at A, 1 at B.

    Returns:
      The point of the geodesic.

    >>> spd_geodesic(jnp.array([[1.0]]), jnp.array([[9.0]]), 0.5).tolist()
    [[4.0]]
    """
    s, cross = 1 - t, _cross(a, b)
    return s * s * a + t * t * b + t * s * (cross + transposed(cross))


def bw_distance(a: jax.Array, b: jax.Array) -> jax.Array:
    r"""The squared Bures-Wasserstein distance of two positive definite matrices.

    .. math:: d^2(A, B) = \mathrm{tr} A + \mathrm{tr} B
        - 2\, \mathrm{tr} (A^{1/2} B A^{1/2})^{1/2}.

    Args:
      a: A, ``(..., n, n)``.
      b: B.

    Returns:
      The squares, ``(...)``.

    >>> float(bw_distance(jnp.array([[1.0]]), jnp.array([[9.0]])))
    4.0
    """
    root = spd_sqrt(a)
    trace = lambda m: jnp.trace(m, axis1=-2, axis2=-1)
    return trace(a) + trace(b) - 2 * trace(spd_sqrt(root @ b @ root))


def bw_mean(
    x: jax.Array,
    *,
    steps: int = 1,
    weights: jax.Array | None = None,
    axis_name: str | None = None,
) -> jax.Array:
    r"""The Bures-Wasserstein barycentre of positive definite matrices.

    .. math:: S \gets S^{-1/2} \Big(\frac 1N \sum_i (S^{1/2} X_i S^{1/2})^{1/2}\Big)^2
        S^{-1/2}, \quad S_0 = \frac 1N \sum_i X_i.

    Args:
      x: ``(N, n, n)``.
      steps: number of steps from the arithmetic mean; one is exact for diagonal ones.
      weights: of each matrix, ``(N,)``; ``None``: all 1.
      axis_name: axis of devices over which the matrices are divided; ``None``: none.

    Returns:
      ``(n, n)``.

    >>> x = jnp.array([[[1.0]], [[9.0]]])
    >>> bw_mean(x).tolist()
    [[4.0]]
    """
    w = None if weights is None else weights[:, None, None]

    def mean(each: jax.Array) -> jax.Array:
        return batch_mean(each, 0, weights=w, axis_name=axis_name)[0][0]

    center = mean(x)
    for _ in range(steps):
        root, inverse = spd_sqrt(center), spd_power(center, -0.5)
        middle = mean(spd_sqrt(root @ x @ root))
        center = inverse @ middle @ middle @ inverse
    return symmetric(center)


def bw_log(base: jax.Array, x: jax.Array) -> jax.Array:
    r"""The tangent at B that points to X, :math:`(XB)^{1/2} + (BX)^{1/2} - 2B`.

    Args:
      base: B, ``(n, n)`` or with the axes of ``x``.
      x: X, ``(..., n, n)``.

    Returns:
      Symmetric matrices of the shape of ``x``.

    >>> bw_log(jnp.array([[1.0]]), jnp.array([[9.0]])).tolist()
    [[4.0]]
    """
    cross = _cross(base, x)
    return cross + transposed(cross) - 2 * base


def bw_exp(base: jax.Array, v: jax.Array) -> jax.Array:
    r"""The point that a tangent V at B leads to, B + V + L B L for B L + L B = V.

    Args:
      base: B, with as many axes as ``v``.
      v: V, symmetric, ``(..., n, n)``.

    Returns:
      Matrices of the shape of ``v``, positive semidefinite.

    >>> bw_exp(jnp.array([[1.0]]), jnp.array([[4.0]])).tolist()
    [[9.0]]
    """

    def divided(a: jax.Array, b: jax.Array, c: jax.Array) -> jax.Array:
        return -1 / ((a + c) * (b + c))

    half = spectral_product(base, v, lambda a, b: 1 / (a + b), divided)
    return base + v + half @ base @ half


def bw_to_identity(base: jax.Array, v: jax.Array) -> jax.Array:
    r"""Transport of a tangent at B to the identity, :math:`\sqrt{2 / (b_i + b_j)}`.

    Args:
      base: B, with as many axes as ``v``.
      v: symmetric, ``(..., n, n)``.

    Returns:
      The tangents at the identity, with these factors in the eigenvectors of B.

    >>> bw_to_identity(jnp.array([[4.0]]), jnp.array([[4.0]])).tolist()
    [[2.0]]
    """

    def divided(a: jax.Array, b: jax.Array, c: jax.Array) -> jax.Array:
        r, s = jnp.sqrt(a + c), jnp.sqrt(b + c)
        return -jnp.sqrt(jnp.asarray(2, a.dtype)) / (r * s * (r + s))

    return spectral_product(base, v, lambda a, b: jnp.sqrt(2 / (a + b)), divided)


def bw_from_identity(base: jax.Array, v: jax.Array) -> jax.Array:
    r"""Transport of a tangent at the identity to B, :math:`\sqrt{(b_i + b_j) / 2}`.

    Args:
      base: B, with as many axes as ``v``.
      v: symmetric, ``(..., n, n)``.

    Returns:
      The tangents at B, with these factors in its eigenvectors.

    >>> bw_from_identity(jnp.array([[4.0]]), jnp.array([[2.0]])).tolist()
    [[4.0]]
    """

    def divided(a: jax.Array, b: jax.Array, c: jax.Array) -> jax.Array:
        root = jnp.sqrt(jnp.asarray(2, a.dtype))
        return 1 / (root * (jnp.sqrt(a + c) + jnp.sqrt(b + c)))

    return spectral_product(base, v, lambda a, b: jnp.sqrt((a + b) / 2), divided)


def check_spd(name: str, x: jax.Array) -> None:
    """Refuse matrices that are not symmetric positive definite, outside of ``jit``.

    Args:
      name: what takes them, for the message.
      x: ``(..., n, n)``; inside of ``jit`` and other transformations it is not looked
        at.

    Raises:
      InputError: one of them is not symmetric, or has an eigenvalue that is not above
        0. Matrices with NaN are let through.
    """
    known = known_values(x)
    if known is None:
        return
    m = known.astype(np.float64)
    m = m[np.all(np.isfinite(m), axis=(-1, -2))]
    if not m.size:
        return
    apart = np.max(np.abs(m - np.swapaxes(m, -1, -2)))
    if apart > 1e-2 * np.max(np.abs(m)):
        raise InputError(
            f"{name} takes symmetric matrices; x and x^T differ by {apart:.3g}"
        )
    least = float(np.min(np.linalg.eigvalsh((m + np.swapaxes(m, -1, -2)) / 2)))
    if least <= 0:
        raise InputError(
            f"{name} takes positive definite matrices; got an eigenvalue of {least:.3g}"
        )


def _cross(a: jax.Array, b: jax.Array) -> jax.Array:
    """``(A B)^(1/2)``, as ``A^(1/2) (A^(1/2) B A^(1/2))^(1/2) A^(-1/2)``."""
    root = spd_sqrt(a)
    return root @ spd_sqrt(root @ b @ root) @ spd_power(a, -0.5)
