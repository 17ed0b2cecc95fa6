"""Spaces of functions that the edges of a Kolmogorov-Arnold layer choose from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core import errors
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers.kan import bases

Params = Mapping[str, jax.Array]
WAVELET = "wavelet"


class ActivationSpace(NamedTuple):
    """Functions that are sums of fixed ones.

    Attributes:
      num_basis: K.
      basis: ``(...)`` to ``(..., K)``.
    """

    num_basis: int
    basis: Callable[[jax.Array], jax.Array]


def _spline(x: jax.Array) -> jax.Array:
    return jnp.concatenate([bases.b_spline_basis(x), _plain(x)], axis=-1)


def _plain(x: jax.Array) -> jax.Array:
    return jax.nn.silu(x)[..., None]


SPACES: Mapping[str, ActivationSpace] = {
    "spline": ActivationSpace(9, _spline),
    "gaussian": ActivationSpace(8, bases.gaussian_basis),
    "chebyshev": ActivationSpace(5, lambda x: bases.chebyshev_basis(jnp.tanh(x))),
    "fourier": ActivationSpace(8, bases.fourier_basis),
    "plain": ActivationSpace(1, _plain),
}
"""Spaces with fixed bases: cubic splines on five intervals of [-1, 1] with silu, eight
Gaussians, Chebyshev polynomials of tanh to degree 4, four frequencies, silu alone."""


def known_spaces(spaces: tuple[str, ...]) -> tuple[str, ...]:
    """The names of spaces, checked.

    Args:
      spaces: names.

    Returns:
      The same.

    Raises:
      InputError: one is unknown or there twice, or there is none.

    >>> known_spaces(("spline", "wavelet"))
    ('spline', 'wavelet')
    """
    names = (*SPACES, WAVELET)
    for name in spaces:
        if name not in names:
            raise errors.unknown("space", str(name), names)
    if not spaces or len(set(spaces)) < len(spaces):
        raise InputError(f"spaces must be different names, at least one; got {spaces}")
    return tuple(spaces)


def first_coefficients(
    name: str, key: jax.Array, outputs: int, inputs: int, draw: Any, plain: Any
) -> dict[str, jax.Array]:
    """The first parameters of a space, for every edge.

    Args:
      name: of the space.
      key: of the numbers.
      outputs: m.
      inputs: n.
      draw: ``draw(key, shape)``, of coefficients, which are divided by K.
      plain: ``plain(key, shape)``, of those of silu alone.

    Returns:
      ``name`` ``(m, n, K)``; of the wavelet ``(m, n)``, and ``wavelet_shift`` and
      ``wavelet_rate``, 0 and 1.
    """
    if name == WAVELET:
        weight = draw(key, (outputs, inputs))
        zero = jnp.zeros_like(weight)
        return {name: weight, f"{name}_shift": zero, f"{name}_rate": zero + 1}
    count = SPACES[name].num_basis
    if name == "plain":
        return {name: plain(key, (outputs, inputs))[..., None]}
    coefficients = draw(key, (outputs, inputs, count))
    return {name: (coefficients / count).astype(coefficients.dtype)}


def sum_over_inputs(
    name: str, params: Params, x: jax.Array, weight: jax.Array
) -> jax.Array:
    r"""The sum of the weighted functions of a space on all edges to an output.

    .. math:: y_j = \sum_i w_{ji} \psi_{ji}(x_i)

    Args:
      name: of the space.
      params: with those of the space, for m outputs.
      x: ``(..., n)``.
      weight: :math:`w`, of shape ``(m or 1, n or 1)``.

    Returns:
      ``(..., m)``. The basis, ``(..., n, K)``, is kept for the gradient; the wavelet,
      whose shift and rate are those of an edge, ``(..., m, n)``.
    """
    own = params[name].astype(x.dtype)
    if name == WAVELET:
        lead = (1,) * (x.ndim - 1)
        shift, rate = (
            params[f"{name}_{kind}"].astype(x.dtype) for kind in ("shift", "rate")
        )
        apart = x[..., None, :] - shift.reshape(lead + shift.shape)
        waves = bases.mexican_hat(apart * rate.reshape(lead + rate.shape))
        return jnp.einsum("...ji,ji->...j", waves, own * weight)
    basis = SPACES[name].basis(x)
    return jnp.einsum("...ik,jik->...j", basis, own * weight[..., None])
