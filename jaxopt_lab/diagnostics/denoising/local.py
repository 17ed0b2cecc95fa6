"""The denoiser whose every pixel looks at those that the data tie it to."""

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, POSITIVE, UNIT, check_arguments
from jaxopt_lab.core.typing import Scalar
from jaxopt_lab.diagnostics.denoising.optimal import both
from jaxopt_lab.diagnostics.denoising.posterior import noise_scale, posterior_mean
from jaxopt_lab.diagnostics.denoising.wiener import WienerDenoiser, wiener_filter

SMALL = 1e-6


def local_masks(
    fitted: WienerDenoiser,
    alpha: Scalar,
    *,
    threshold: Annotated[Scalar, UNIT] = 0.02,
) -> jax.Array:
    r"""The pixels that each pixel depends on, from the data's linear denoiser.

    Args:
      fitted: of ``fit_wiener``.
      alpha: a, in [0, 1].
      threshold: part of the largest weight, over the whole matrix, from which on a
        pixel counts; the Python number 0: no mask, the sizes of the weights.

    Returns:
      ``(P, P)``, row p for output p: 0 or 1, or :math:`|K_{pn} / K_{pp}|` with the
      filter K (a diagonal below 1e-6 counts as 1).

    >>> fitted = WienerDenoiser(jnp.zeros(2), jnp.array([[1.0, 0.5], [0.5, 1.0]]))
    >>> local_masks(fitted, 0.5, threshold=0.3).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    check_arguments(local_masks, {"threshold": threshold})
    k = wiener_filter(fitted, alpha)
    own = jnp.diagonal(k)[:, None]
    weights = jnp.abs(k / jnp.where(jnp.abs(own) < SMALL, 1, own))
    if isinstance(threshold, int | float) and threshold == 0:
        return weights
    least = jnp.asarray(threshold, weights.dtype) * jnp.max(weights)
    return (weights >= least).astype(weights.dtype)


def local_denoise(
    data: Any,
    masks: jax.Array,
    x: Any,
    alpha: Scalar,
    *,
    temperature: Annotated[Scalar, POSITIVE] = 1.0,
    transposed: bool = False,
    block: Annotated[int, COUNT] = 64,
) -> jax.Array:
    r"""A posterior mean of each pixel, given the pixels of its mask.

    .. math::
        \hat x_p = \sum_i w_{pi} x_{ip}, \qquad w_p \propto
        e^{-\sum_n M_{pn} (x_t - \sqrt a x_i)_n^2 / (2 (1 - a) T)}.

    Args:
      data: :math:`x_i`, ``(N, ...)``, real floating.
      masks: M, ``(P, P)``, of ``local_masks``.
      x: :math:`x_t`, ``(B, ...)``.
      alpha: a, in [0, 1].
      temperature: T.
      transposed: :math:`M_{np}` in place of :math:`M_{pn}`, as in the public code.
      block: examples at a time.

    Returns:
      In the shape and type of ``x``; exact for any block. With masks of ones it is
      ``optimal_denoise``, with the identity the posterior mean of every pixel alone.

    Raises:
      InputError: there are no data, other features, or masks of another shape.

    Cost: ``B N P^2`` operations. Memory: ``B * block * P`` numbers.

    Deviations: the public code sums with the transposed mask, which is normalized by
    the wrong pixel, and averages the means of its blocks.

    Source: "Locality in Image Diffusion Models Emerges from Data Statistics",
    arXiv:2509.09672, and its code.

    >>> x = jnp.array([[0.0, 0.0], [1.0, 1.0]])
    >>> noisy = jnp.array([[0.0, 1.0]])
    >>> local_denoise(x, jnp.eye(2), noisy, 0.999).round(2).tolist()
    [[0.0, 1.0]]
    """
    given = {"temperature": temperature, "transposed": transposed, "block": block}
    check_arguments(local_denoise, given)
    rows, noisy, shape, dtype = both(data, x)
    size = rows.shape[1]
    if jnp.shape(masks) != (size, size):
        raise InputError(
            f"masks must have shape {(size, size)}; got {jnp.shape(masks)}"
        )
    a = jnp.asarray(alpha, rows.dtype)
    weights = jnp.asarray(masks, rows.dtype)
    weights = weights if transposed else weights.T

    def apart(part: jax.Array) -> jax.Array:
        squares = (noisy[:, None] - jnp.sqrt(a) * part[None]) ** 2
        return jnp.matmul(squares, weights, precision=jax.lax.Precision.HIGHEST)

    scale = noise_scale(a, temperature)
    found = posterior_mean(apart, rows, noisy.shape, scale, block=block)
    return found.reshape(shape).astype(dtype)
