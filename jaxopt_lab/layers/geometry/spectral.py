"""Functions of symmetric matrices, with exact derivatives at equal eigenvalues."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

Scalar = Callable[[jax.Array], jax.Array]
Pair = Callable[[jax.Array, jax.Array], jax.Array]


def transposed(x: jax.Array) -> jax.Array:
    """The last two axes exchanged."""
    return jnp.swapaxes(x, -1, -2)


def symmetric(x: jax.Array) -> jax.Array:
    """The symmetric part, ``(x + x^T) / 2``."""
    return (x + transposed(x)) * jnp.asarray(0.5, x.dtype)


def divided_difference(f: Scalar, df: Scalar) -> Pair:
    r"""``(f(a) - f(b)) / (a - b)``, the derivative where both are about the same.

    Args:
      f: a function of numbers.
      df: its derivative.

    Returns:
      A function of a and b. Where they differ by less than the cube root of the
      rounding, relatively, it is the derivative in the middle, whose error is then of
      the order of the rounding to the power 2/3.

    >>> at = divided_difference(jnp.square, lambda x: 2 * x)
    >>> three, one = jnp.array(3.0), jnp.array(1.0)
    >>> float(at(three, three)), float(at(three, one))
    (6.0, 4.0)
    """

    def of(a: jax.Array, b: jax.Array) -> jax.Array:
        apart = a - b
        size = jnp.maximum(jnp.abs(a), jnp.abs(b))
        near = jnp.asarray(float(jnp.finfo(a.dtype).eps) ** (1 / 3), a.dtype)
        same = jnp.abs(apart) <= near * size
        quotient = (f(a) - f(b)) / jnp.where(same, 1, apart)
        return jnp.where(same, df((a + b) * jnp.asarray(0.5, a.dtype)), quotient)

    return of


@partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def _function(x: jax.Array, f: Scalar, divided: Pair) -> jax.Array:
    w, u = jnp.linalg.eigh(symmetric(x))
    return (u * f(w)[..., None, :]) @ transposed(u)


@_function.defjvp
def _(f: Scalar, divided: Pair, primals: Any, tangents: Any) -> Any:
    (x,), (moved,) = primals, tangents
    w, u = jnp.linalg.eigh(symmetric(x))
    y = (u * f(w)[..., None, :]) @ transposed(u)
    inside = transposed(u) @ symmetric(moved) @ u
    weights = divided(w[..., :, None], w[..., None, :])
    return y, u @ (weights * inside) @ transposed(u)


def sym_fun(
    x: jax.Array, f: Scalar, df: Scalar, *, divided: Pair | None = None
) -> jax.Array:
    r"""A function of the eigenvalues of a symmetric matrix.

    .. math:: F(X) = U f(\Lambda) U^T, \qquad DF(X)[H] = U (f^{[1]}(\lambda_i,
        \lambda_j) \odot U^T H U) U^T,

    (Daleckii and Krein) with :math:`f^{[1]}(a, b) = (f(a) - f(b)) / (a - b)` and
    :math:`f'(a)` where both are equal, so that the derivative is finite and exact at
    equal eigenvalues, unlike that of the eigenvectors.

    Args:
      x: ``(..., n, n)``; only its symmetric part counts.
      f: function of an array of numbers.
      df: its derivative.
      divided: the divided difference, where there is a form without cancellation.

    Returns:
      A symmetric matrix of the shape and type of ``x``.

    First derivatives, in forward and reverse mode; those of the derivative are those
    of ``eigh``, infinite at equal eigenvalues. Kept for the gradient: eigenvalues,
    eigenvectors and divided differences.

    >>> x = jnp.array([[2.0, 0.0], [0.0, 2.0]])
    >>> square = lambda x: sym_fun(x, jnp.square, lambda w: 2 * w)
    >>> y, slope = jax.jvp(square, (x,), (x,))
    >>> y.tolist(), slope.tolist()
    ([[4.0, 0.0], [0.0, 4.0]], [[8.0, 0.0], [0.0, 8.0]])
    """
    return _function(x, f, divided_difference(f, df) if divided is None else divided)


@partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def _product(base: jax.Array, v: jax.Array, kernel: Pair, divided: Any) -> jax.Array:
    b, u = jnp.linalg.eigh(symmetric(base))
    inside = transposed(u) @ v @ u
    return u @ (kernel(b[..., :, None], b[..., None, :]) * inside) @ transposed(u)


@_product.defjvp
def _(kernel: Pair, divided: Any, primals: Any, tangents: Any) -> Any:
    (base, v), (base_dot, v_dot) = primals, tangents
    b, u = jnp.linalg.eigh(symmetric(base))
    into = lambda m: transposed(u) @ m @ u
    weights = kernel(b[..., :, None], b[..., None, :])
    h, e = into(v), into(symmetric(base_dot))
    # Differences in the first argument of the kernel, d[i, l, j] of (b_i, b_l; b_j).
    first, second, third = (
        b[..., :, None, None],
        b[..., None, :, None],
        b[..., None, None, :],
    )
    d = divided(first, second, third)
    moved = jnp.einsum("...il,...lj,...ilj->...ij", e, h, d)
    moved = moved + jnp.einsum("...il,...lj,...lji->...ij", h, e, d)
    back = lambda m: u @ m @ transposed(u)
    return back(weights * h), back(weights * into(v_dot) + moved)


def spectral_product(
    base: jax.Array, v: jax.Array, kernel: Pair, divided: Callable[..., jax.Array]
) -> jax.Array:
    r"""A linear map of matrices that is diagonal in the eigenvectors of another one.

    .. math:: K_B[V] = U (k(b_i, b_j) \odot U^T V U) U^T, \quad B = U b U^T.

    Args:
      base: B, ``(..., n, n)``; only its symmetric part counts.
      v: V, with the same number of axes.
      kernel: k, symmetric.
      divided: ``(a, b, c) -> (k(a, c) - k(b, c)) / (a - b)``, without cancellation.

    Returns:
      The matrix, of the shape of both broadcast.

    First derivatives, exact at equal eigenvalues of the base.

    >>> half = lambda a, b: 1 / (a + b)
    >>> d = lambda a, b, c: -1 / ((a + c) * (b + c))
    >>> spectral_product(jnp.eye(2), jnp.eye(2), half, d).tolist()
    [[0.5, 0.0], [0.0, 0.5]]
    """
    return _product(base, v, kernel, divided)
