"""Bases of functions of one number."""

from __future__ import annotations

import math
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core.options import COUNT, COUNT_OR_ZERO, Interval, check_arguments

TWO_OR_MORE = Interval(2.0)


def b_spline_basis(
    x: jax.Array,
    *,
    grid: Annotated[int, COUNT] = 5,
    order: Annotated[int, COUNT] = 3,
) -> jax.Array:
    """B-splines of equal intervals of [-1, 1], continued beyond both ends.

    Args:
      x: any shape.
      grid: intervals.
      order: degree of the polynomials, at least 1.

    Returns:
      ``(..., grid + order)``, at least 0, ``order + 1`` of them above 0; their sum is 1
      in [-1, 1]. All are 0 far outside.

    Raises:
      InputError: an argument is out of range.

    >>> b_spline_basis(jnp.array(-0.5), grid=2, order=1).tolist()
    [0.5, 0.5, 0.0]
    """
    check_arguments(b_spline_basis, {"grid": grid, "order": order})
    # In units of an interval, knots are the whole numbers from -order.
    position = (x[..., None] + 1) * (grid / 2)
    knots = jnp.asarray(np.arange(-order, grid + order), x.dtype)
    knots = knots.reshape((1,) * x.ndim + (-1,))
    basis = ((position >= knots) & (position < knots + 1)).astype(x.dtype)
    for k in range(1, order + 1):
        left, right = basis[..., :-1], basis[..., 1:]
        start = knots[..., : left.shape[-1]]
        rising = (position - start) / k
        falling = (start + (k + 1) - position) / k
        basis = rising * left + falling * right
    return basis


def gaussian_basis(
    x: jax.Array, *, centres: Annotated[int, TWO_OR_MORE] = 8
) -> jax.Array:
    r"""Gaussian bumps at equal distances in [-1, 1], as wide as these.

    .. math:: \exp(-((x - c) / \Delta)^2)

    Args:
      x: any shape.
      centres: number of bumps.

    Returns:
      ``(..., centres)``.

    Raises:
      InputError: an argument is out of range.

    >>> [round(float(g), 4) for g in gaussian_basis(jnp.array(-1.0), centres=2)]
    [1.0, 0.3679]
    """
    check_arguments(gaussian_basis, {"centres": centres})
    at = jnp.asarray(np.linspace(-1, 1, centres), x.dtype)
    apart = (x[..., None] - at.reshape((1,) * x.ndim + (-1,))) * ((centres - 1) / 2)
    return jnp.exp(-apart * apart)


def chebyshev_basis(
    x: jax.Array, *, degree: Annotated[int, COUNT_OR_ZERO] = 4
) -> jax.Array:
    r"""Chebyshev polynomials of the first kind, :math:`\cos(k \arccos x)`.

    Args:
      x: any shape, in [-1, 1].
      degree: the highest one.

    Returns:
      ``(..., degree + 1)``, by the recurrence of three terms.

    Raises:
      InputError: an argument is out of range.

    >>> chebyshev_basis(jnp.array(0.5), degree=3).tolist()
    [1.0, 0.5, -0.5, -1.0]
    """
    check_arguments(chebyshev_basis, {"degree": degree})
    found = [jnp.ones_like(x), x]
    for _ in range(degree - 1):
        found.append(2 * x * found[-1] - found[-2])
    return jnp.stack(found[: degree + 1], axis=-1)


def fourier_basis(x: jax.Array, *, waves: Annotated[int, COUNT] = 4) -> jax.Array:
    r"""Cosines and sines of the first frequencies, of period 2.

    Args:
      x: any shape.
      waves: number of frequencies.

    Returns:
      ``(..., 2 * waves)``, :math:`\cos(k \pi x)` and then :math:`\sin(k \pi x)`.

    Raises:
      InputError: an argument is out of range.

    >>> fourier_basis(jnp.array(0.5), waves=1).round(4).tolist()
    [-0.0, 1.0]
    """
    check_arguments(fourier_basis, {"waves": waves})
    rates = jnp.asarray(math.pi * np.arange(1, waves + 1), x.dtype)
    phases = x[..., None] * rates.reshape((1,) * x.ndim + (-1,))
    return jnp.concatenate([jnp.cos(phases), jnp.sin(phases)], axis=-1)


def mexican_hat(u: jax.Array) -> jax.Array:
    r"""The wavelet :math:`\frac{2}{\sqrt 3 \pi^{1/4}} (1 - u^2) e^{-u^2 / 2}`.

    Args:
      u: any shape.

    Returns:
      As ``u``; its integral is 0, that of its square 1.

    >>> round(float(mexican_hat(jnp.array(0.0))), 4)
    0.8673
    """
    height = 2 / (math.sqrt(3) * math.pi**0.25)
    square = u * u
    return height * (1 - square) * jnp.exp(-square / 2)
