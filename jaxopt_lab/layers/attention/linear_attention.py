"""Norm-aware features of queries and keys, and attention linear in the tokens."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import (
    COUNT,
    NON_NEGATIVE,
    POSITIVE,
    STATIC,
    check_arguments,
)

SMALLEST = 1e-6


def norm_aware_features(
    q: jax.Array,
    k: jax.Array,
    *,
    power_scale: Annotated[float, NON_NEGATIVE, STATIC] = 3.0,
    power_shift: Annotated[float, NON_NEGATIVE, STATIC] = 0.5,
    key_power: Annotated[int, COUNT] = 3,
) -> tuple[jax.Array, jax.Array]:
    r"""Non-negative features in which the norm of a query sharpens its weights.

    .. math:: \phi(q) = [u_+^p, u_-^p], \quad u = q / |q|, \quad
        p = s (b + \tanh |q|); \qquad \phi(k) = [k_+^r, k_-^r]

    with positive and negative parts as separate dimensions, so that entries of unlike
    sign do not meet.

    Args:
      q: queries, ``(..., d)``.
      k: keys, ``(..., d)``.
      power_scale: s.
      power_shift: b.
      key_power: r, odd. The powers of large keys leave float16.

    Returns:
      Features of queries and of keys, ``(..., 2 d)``. Derivatives are finite at 0,
      where they are 0; with a p below 1, which the defaults do not allow, they are
      infinite where an entry of q is.

    Raises:
      InputError: an argument is out of range, or ``key_power`` is even.

    The abstract speaks of a map by cosines; the code, followed here, splits by sign.

    Source: Meng et al., "NaLaFormer: Norm-Aware Linear Attention for Transformer
    Models", 2025 (https://arxiv.org/abs/2506.21137).

    >>> q, k = norm_aware_features(jnp.array([[0.0, -2.0]]), jnp.array([[2.0, -1.0]]))
    >>> q.tolist(), k.tolist()
    ([[0.0, 0.0, 0.0, 1.0]], [[8.0, 0.0, 0.0, 1.0]])
    """
    options = {
        "power_scale": power_scale,
        "power_shift": power_shift,
        "key_power": key_power,
    }
    check_arguments(norm_aware_features, options)
    if key_power % 2 == 0:
        raise InputError(f"key_power must be odd; got {key_power}")
    one, zero = jnp.ones((), q.dtype), jnp.zeros((), q.dtype)
    square = jnp.sum(q * q, axis=-1, keepdims=True)
    empty = square == 0
    norm = jnp.where(empty, zero, jnp.sqrt(jnp.where(empty, one, square)))
    u = q / jnp.maximum(norm, jnp.asarray(SMALLEST, q.dtype))
    p = jnp.asarray(power_scale, q.dtype) * (
        jnp.asarray(power_shift, q.dtype) + jnp.tanh(norm)
    )
    u = jnp.concatenate([u, -u], axis=-1)
    # Of 0, the logarithm in the derivative by p would be NaN.
    out = u <= 0
    queries = jnp.where(out, zero, jnp.exp(p * jnp.log(jnp.where(out, one, u))))
    cubes = k**key_power
    keys = jnp.maximum(jnp.concatenate([cubes, -cubes], axis=-1), zero.astype(k.dtype))
    return queries, keys


def rotary_angles(height: int, width: int, features: int) -> np.ndarray:
    r"""Angles of the two-dimensional rotary embedding of a grid.

    Position over :math:`10000^{j / (n - 1)}` for j below n, a quarter of the features:
    the first half of the pairs turns by the row, the second by the column.

    Args:
      height: rows of the grid.
      width: its columns.
      features: a multiple of 4.

    Returns:
      ``(height * width, features / 2)`` of float64 on the host, row by row.

    Raises:
      InputError: ``features`` is no multiple of 4.

    >>> rotary_angles(1, 3, 4).tolist()
    [[0.0, 0.0], [0.0, 1.0], [0.0, 2.0]]
    """
    if features % 4 or features < 4:
        raise InputError(
            f"features must be a multiple of 4 for rotary angles; got {features}"
        )
    count = features // 4
    rate = 10000.0 ** -np.linspace(0.0, 1.0, count)
    row, column = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    angles = [place.reshape(-1, 1) * rate[None, :] for place in (row, column)]
    return np.concatenate(angles, axis=1)


def rotated(x: jax.Array, angles: np.ndarray) -> jax.Array:
    """Neighbouring pairs of features turned by angles.

    Args:
      x: ``(..., tokens, features)``.
      angles: ``(tokens, features / 2)``.

    Returns:
      As ``x``; the norm of a token stays.

    >>> rotated(jnp.ones((1, 2)), jnp.zeros((1, 1))).tolist()
    [[1.0, 1.0]]
    """
    lead = (1,) * (x.ndim - 2)
    cos, sin = (jnp.asarray(f(angles), x.dtype) for f in (np.cos, np.sin))
    cos, sin = (a.reshape(*lead, *a.shape) for a in (cos, sin))
    even, odd = x[..., ::2], x[..., 1::2]
    pairs = jnp.stack([even * cos - odd * sin, odd * cos + even * sin], axis=-1)
    return pairs.reshape(x.shape)


def linear_attention(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    *,
    eps: Annotated[float, POSITIVE, STATIC] = 1e-6,
    angles: np.ndarray | None = None,
    where: jax.Array | None = None,
) -> jax.Array:
    r"""Attention by features, without the matrix of tokens by tokens.

    .. math:: y_n = \frac{\sum_m (R_n q_n \cdot R_m k_m)\, v_m}
        {\sum_m q_n \cdot k_m + N \epsilon}

    Without rotations R, and for non-negative features, weights are non-negative and
    their sum is 1 for :math:`\epsilon \to 0`; with them neither holds.

    Args:
      q: features of queries, ``(..., tokens, F)``.
      k: features of keys, as ``q``.
      v: values, ``(..., tokens, d)``.
      eps: added to the mean weight, above 0: a query that meets no key gives 0.
      angles: of ``rotary_angles``, for R; ``None``: no rotation.
      where: booleans ``(..., tokens, 1)``, the tokens that count as keys.

    Returns:
      As ``v``. Time O(N F d); ``F x d`` numbers between the two products.

    Raises:
      InputError: ``eps`` is out of range, or shapes do not fit.

    >>> one = jnp.ones((2, 1))
    >>> linear_attention(one, one, jnp.array([[1.0], [3.0]])).round(3).tolist()
    [[2.0], [2.0]]
    """
    check_arguments(linear_attention, {"eps": eps})
    if q.shape != k.shape or v.shape[:-1] != k.shape[:-1] or q.ndim < 2:
        raise InputError(
            f"q and k must be (..., tokens, F) and v (..., tokens, d); got {q.shape}, "
            f"{k.shape} and {v.shape}"
        )
    count = jnp.asarray(max(k.shape[-2], 1), q.dtype)
    if where is not None:
        k, v = (jnp.where(where, x, jnp.zeros((), x.dtype)) for x in (k, v))
        total = jnp.sum(where, axis=-2, keepdims=True).astype(q.dtype)
        count = jnp.maximum(total, jnp.ones((), q.dtype))
    weight = jnp.sum(
        q * (jnp.sum(k, axis=-2, keepdims=True) / count), -1, keepdims=True
    )
    if angles is not None:
        q, k = rotated(q, angles), rotated(k, angles)
    state = jnp.einsum("...mf,...md->...fd", k, v) / count
    return jnp.einsum("...nf,...fd->...nd", q, state) / (
        weight + jnp.asarray(eps, q.dtype)
    )
