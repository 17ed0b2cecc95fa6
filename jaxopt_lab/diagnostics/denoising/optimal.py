"""The optimal denoiser of a finite set of data."""

from __future__ import annotations

from typing import Annotated, Any

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.neighbours import squared_distances
from jaxopt_lab.core.options import COUNT, check_arguments
from jaxopt_lab.core.typing import Scalar
from jaxopt_lab.diagnostics.denoising.posterior import noise_scale, posterior_mean
from jaxopt_lab.diagnostics.denoising.wiener import as_rows


def optimal_denoise(
    data: Any, x: Any, alpha: Scalar, *, block: Annotated[int, COUNT] = 512
) -> jax.Array:
    r"""Posterior mean of the data given noisy ones, :math:`E[x_0 | x_t]`.

    .. math::
        \sum_i w_i x_i, \qquad
        w \propto e^{-|x_t - \sqrt a x_i|^2 / (2 (1 - a))}.

    Args:
      data: :math:`x_i`, ``(N, ...)``, real floating.
      x: :math:`x_t`, ``(B, ...)``.
      alpha: a, in [0, 1]; at 1 it is the nearest example.
      block: examples at a time.

    Returns:
      In the shape and type of ``x``; exact for any block.

    Raises:
      InputError: there are no data, or other features.

    Cost: a product of matrices of ``B``, ``N`` and ``P``. It repeats the data as noise
    falls, which a network trained on them does not.

    Deviations: the public code of local denoisers averages the means of its blocks.

    >>> x = jnp.array([[0.0], [1.0]])
    >>> optimal_denoise(x, jnp.array([[0.1]]), 0.999).tolist()
    [[0.0]]
    """
    check_arguments(optimal_denoise, {"block": block})
    rows, noisy, shape, dtype = both(data, x)
    a = jnp.asarray(alpha, rows.dtype)
    apart = lambda part: squared_distances(noisy, jnp.sqrt(a) * part)[..., None]
    found = posterior_mean(apart, rows, noisy.shape, noise_scale(a), block=block)
    return found.reshape(shape).astype(dtype)


def both(data: Any, x: Any) -> tuple[jax.Array, jax.Array, tuple[int, ...], Any]:
    """Data and noisy inputs as rows, and the shape and type of the inputs.

    Args:
      data: ``(N, ...)``.
      x: ``(B, ...)``.

    Returns:
      ``(N, P)``, ``(B, P)``, a shape and a type.

    Raises:
      InputError: there are no data, or other features.

    >>> [s.shape for s in both(jnp.zeros((3, 2)), jnp.zeros((1, 2)))[:2]]
    [(3, 2), (1, 2)]
    """
    rows, noisy = as_rows("data", data), as_rows("x", x)
    if not len(rows):
        raise InputError("data has no examples; at least one is needed")
    if rows.shape[1] != noisy.shape[1]:
        raise InputError(f"x has {noisy.shape[1]} features, the data {rows.shape[1]}")
    wide = jnp.promote_types(rows.dtype, noisy.dtype)
    x = jnp.asarray(x)
    return rows.astype(wide), noisy.astype(wide), x.shape, x.dtype
