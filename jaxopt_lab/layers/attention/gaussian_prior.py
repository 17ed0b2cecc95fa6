"""Gaussian attention of the tokens of a grid to their neighbours (FOD)."""

from __future__ import annotations

import math
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, check_arguments

# Below it a neighbour's weight, exp(-1250), is 0 in float64 too.
_LEAST = 0.02


def gaussian_prior(
    deviations: jax.Array,
    *,
    height: Annotated[int, COUNT],
    width: Annotated[int, COUNT],
) -> jax.Array:
    r"""Rows of attention that fall off with the distance on a grid of tokens.

    .. math:: t_{ij} \propto \exp\left(-\frac{(r_i - r_j)^2}{2 \sigma_{i1}^2}
        - \frac{(c_i - c_j)^2}{2 \sigma_{i2}^2}\right), \qquad \sum_j t_{ij} = 1,

    for the query i in row r and column c of the grid.

    Args:
      deviations: :math:`\sigma` along rows and columns for each query, ``(..., height
        width, 2)``, not negative; 0 is attention to the query's own place.
      height: rows of the grid.
      width: its columns.

    Returns:
      ``(..., height width, height width)`` of the type of the deviations: a sharp or a
      wide neighbourhood of each query, with its peak at the query. Differentiable;
      the derivative at deviations below 0.02, where no neighbour has any weight, is 0.

    Raises:
      InputError: the shape does not fit, or the deviations are not floating.

    Source: Yao et al., "Focus the Discrepancy: Intra- and Inter-Correlation Learning
    for Image Anomaly Detection", 2023 (https://arxiv.org/abs/2308.02983) and its code
    (xcyao00/FOD).

    >>> row = gaussian_prior(jnp.ones((3, 2)), height=1, width=3)[1]
    >>> [f"{x:.3f}" for x in row]
    ['0.274', '0.452', '0.274']
    """
    check_arguments(gaussian_prior, {"height": height, "width": width})
    count = height * width
    if deviations.shape[-2:] != (count, 2) or not jnp.issubdtype(
        deviations.dtype, jnp.floating
    ):
        raise InputError(
            f"deviations must be real floating numbers (..., {count}, 2); got "
            f"{deviations.dtype} of shape {deviations.shape}"
        )
    row, column = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    places = np.stack([row.ravel(), column.ravel()], axis=-1)
    apart = jnp.asarray(places[:, None] - places[None], deviations.dtype)
    s = jnp.maximum(deviations, jnp.asarray(_LEAST, deviations.dtype))[..., None, :]
    lead = (1,) * (deviations.ndim - 2)
    ratios = apart.reshape(*lead, *apart.shape) / s
    return jax.nn.softmax(-jnp.sum(jnp.square(ratios), axis=-1) / 2, axis=-1)


def prior_deviations(logits: jax.Array) -> jax.Array:
    r"""Deviations from 0 to 2, by logits.

    .. math:: \sigma = 3^{\mathrm{sigmoid}(5 z) + 10^{-5}} - 1

    Args:
      logits: z, any shape; a projection of the token in FOD.

    Returns:
      The same shape, for ``gaussian_prior``.

    >>> [f"{x:.3f}" for x in prior_deviations(jnp.array([-9.0, 0.0, 9.0]))]
    ['0.000', '0.732', '2.000']
    """
    share = jax.nn.sigmoid(5 * logits) + jnp.asarray(1e-5, logits.dtype)
    return jnp.expm1(share * jnp.asarray(math.log(3), logits.dtype))
