"""Activations as sums of Hermite polynomials."""

from __future__ import annotations

import math
from typing import Annotated

import jax
import jax.numpy as jnp

from jaxopt_lab.core.options import COUNT, COUNT_OR_ZERO, check_arguments


def hermite_basis(
    x: jax.Array, *, degree: Annotated[int, COUNT_OR_ZERO]
) -> list[jax.Array]:
    r"""Hermite polynomials that are orthonormal under the standard normal law.

    .. math:: h_{i+1} = (x h_i - \sqrt i\, h_{i-1}) / \sqrt{i + 1}

    Args:
      x: any shape.
      degree: the highest one.

    Returns:
      ``degree + 1`` arrays as ``x``.

    Raises:
      InputError: ``degree`` is out of range.

    >>> [round(float(h), 4) for h in hermite_basis(jnp.array(2.0), degree=2)]
    [1.0, 2.0, 2.1213]
    """
    check_arguments(hermite_basis, {"degree": degree})
    found = [jnp.ones_like(x), x]
    for i in range(1, degree):
        up = x * found[i] - math.sqrt(i) * found[i - 1]
        found.append(up / math.sqrt(i + 1))
    return found[: degree + 1]


def hilbert_weights(dimension: Annotated[int, COUNT]) -> tuple[float, ...]:
    r"""Squared Hermite coefficients of the activation whose deep kernel is Hilbert's.

    .. math:: \xi \mapsto a \xi + (1 - 2a) \xi^2 + a \xi^3, \quad a = 2^{-d/2},
        \qquad \text{or} \qquad (\xi + \xi^7) / 2 \; \text{ for } d = 1

    Args:
      dimension: d, that of the sphere of the data.

    Returns:
      The weights of the powers from 0, whose sum is 1.

    Raises:
      InputError: ``dimension`` is below 1.

    >>> hilbert_weights(2)
    (0.0, 0.5, 0.0, 0.5)
    """
    check_arguments(hilbert_weights, {"dimension": dimension})
    if dimension == 1:
        return (0.0, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5)
    a = 2.0 ** (-dimension / 2)
    return (0.0, a, 1 - 2 * a, a)
