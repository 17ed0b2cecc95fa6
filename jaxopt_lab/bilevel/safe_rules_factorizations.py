"""Derivatives of matrix factorizations where singular or eigenvalues coincide.

Singular vectors turn into each other at rates 1 / (s_j^2 - s_i^2), eigenvectors at
1 / (w_j - w_i); between equal values there is no such rate, and it counts as zero.
The same for 1 / s of a zero singular value, and for all of a QR factorization of a
matrix without full rank. Elsewhere the formulas are the usual ones (Giles 2008, "An
extended collection of matrix derivative results"; Walter, Lehmann and Lamour 2012).
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import primitives

from jaxopt_lab.bilevel.safe_primitives import matrixwise
from jaxopt_lab.bilevel.safe_rules import reciprocal


def _t(x: jax.Array) -> jax.Array:
    return jnp.swapaxes(x, -1, -2)


def _dot(x: jax.Array, y: jax.Array) -> jax.Array:
    return jnp.matmul(x, y, precision=lax.Precision.HIGHEST)


def _row(x: jax.Array) -> jax.Array:
    return jnp.expand_dims(x, -2)


def _column(x: jax.Array) -> jax.Array:
    return jnp.expand_dims(x, -1)


def _diagonal(x: jax.Array) -> jax.Array:
    return jnp.diagonal(x, axis1=-2, axis2=-1)


def _svd(
    results: Any, da: jax.Array, a: jax.Array, *, compute_uv: bool, **params: Any
) -> Any:
    if compute_uv:
        s, u, vt = results
    else:
        full = {**params, "full_matrices": False}
        s, u, vt = svd_p.bind(a, compute_uv=True, **full)
    v = _t(vt)
    ds = _dot(_dot(_t(u), da), v)
    if not compute_uv:
        return [_diagonal(ds)]
    rate = reciprocal((_row(s) + _column(s)) * (_row(s) - _column(s)))
    inverse = reciprocal(s)
    right, left = _row(s) * ds, _column(s) * ds
    du = _dot(u, rate * (right + _t(right)))
    dv = _dot(v, rate * (left + _t(left)))
    m, n = a.shape[-2:]
    if m > n:
        dav = _dot(da, v)
        du = du + (dav - _dot(u, _dot(_t(u), dav))) * _row(inverse)
    if n > m:
        dau = _dot(_t(da), u)
        dv = dv + (dau - _dot(v, _dot(vt, dau))) * _row(inverse)
    return [_diagonal(ds), du, _t(dv)]


def _eigh(results: Any, da: jax.Array, a: jax.Array, **params: Any) -> Any:
    v, w = results
    turned = _dot(_dot(_t(v), da), v)
    rate = reciprocal(_row(w) - _column(w))
    return [_dot(v, rate * turned), _diagonal(turned)]


def _qr(results: Any, da: jax.Array, a: jax.Array, **params: Any) -> Any:
    q, r = results
    m, n = a.shape[-2:]
    k = min(m, n)
    first, rest = da[..., :k], da[..., k:]
    square = r[..., :k]
    eye = jnp.broadcast_to(jnp.eye(k, dtype=r.dtype), square.shape)
    singular = _row(jnp.any(_diagonal(square) == 0, axis=-1, keepdims=True))
    # A solve with a singular matrix gives NaN, which propagates even if discarded.
    inverse = lax.linalg.triangular_solve(jnp.where(singular, eye, square), eye)
    there = jnp.all(lax.is_finite(inverse), axis=(-2, -1), keepdims=True) & ~singular
    solved = _dot(first, jnp.where(there, inverse, jnp.zeros_like(inverse)))
    inner = _dot(_t(q), solved)
    lower = jnp.tril(inner, -1)
    skew = lower - _t(lower)
    dq = _dot(q, skew - inner) + solved
    dr = _dot(inner - skew, square)
    if n > k:
        wide = _dot(_t(dq), a[..., k:]) + _dot(_t(q), rest)
        dr = jnp.concatenate([dr, wide], axis=-1)
    return [dq, dr]


svd_p = matrixwise(primitives.svd_p, _svd)
eigh_p = matrixwise(primitives.eigh_p, _eigh)
qr_p = matrixwise(primitives.qr_p, _qr)


def factorization(name: str, shape: tuple[int, ...], params: dict[str, Any]) -> Any:
    """The safe primitive for a factorization, if there is a rule for its options.

    Args:
      name: of jax's primitive.
      shape: of the matrix.
      params: of the equation.

    Returns:
      The primitive, or ``None``: jax's own, which refuses to be differentiated with
      most of these options.
    """
    m, n = shape[-2:]
    whole = params.get("full_matrices") and m != n
    partial = params.get("subset_by_index") is not None
    if name == "svd" and not partial and not (whole and params["compute_uv"]):
        return svd_p
    if name == "eigh" and params["subset_by_index"] in (None, (0, n)):
        return eigh_p
    if name == "qr" and not params["pivoting"] and not (whole and m > n):
        return qr_p
    return None
