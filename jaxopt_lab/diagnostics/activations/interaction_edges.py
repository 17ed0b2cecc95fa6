"""Interactions between the coordinates of neighbouring layers."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, check_arguments
from jaxopt_lab.diagnostics.activations.interaction_basis import (
    Basis,
    Vector,
    as_partial,
    layer_activations,
    mean_jacobian,
    padded,
)


def interaction_edges(
    bases: Sequence[Basis],
    layers: Sequence[Vector],
    x: Any,
    *,
    points: Annotated[int, COUNT] = 8,
) -> list[np.ndarray]:
    r"""Strengths of the interactions of all pairs of coordinates.

    .. math:: E_{ij} = E \Bigl[ \Bigl( \int_0^1
        \frac{\partial \hat f'_i}{\partial \hat f_j}(a \hat f)\, da \;
        \hat f_j \Bigr)^2 \Bigr]

    of the layer between the coordinates, :math:`\hat f \mapsto \hat f C^+ \mapsto f'
    \mapsto f' C'`.

    Args:
      bases: of ``interaction_basis``, one more than layers.
      layers: as there.
      x: inputs, ``(n, d)``.
      points: of the Gauss-Legendre rule of the integral.

    Returns:
      A matrix for each layer, ``(coordinates behind, coordinates before)``. For a
      linear layer it is exact, :math:`\hat W_{ij}^2 \Lambda_j`.

    Raises:
      InputError: an argument is out of range, or the bases do not fit.

    Source: Bushnaq et al., "The Local Interaction Basis", 2024
    (https://arxiv.org/abs/2405.10928). Code read: ApolloResearch/rib.

    >>> from jaxopt_lab.diagnostics import interaction_basis
    >>> layers, x = [lambda f: 2 * f], jnp.array([[1.0], [-3.0]])
    >>> found = interaction_edges(interaction_basis(layers, x).bases, layers, x)
    >>> found[0].round(4).tolist()
    [[20.0]]
    """
    check_arguments(interaction_edges, {"points": points})
    if len(bases) != len(layers) + 1:
        raise InputError(
            f"bases must be one more than the {len(layers)} layers; got {len(bases)}"
        )
    each, found = layer_activations(tuple(layers), jnp.asarray(x)), []
    for layer, f, before, behind in zip(
        layers, each[:-1], bases[:-1], bases[1:], strict=True
    ):
        found.append(_edges(layer, f, before, behind, points))
    return found


def _edges(
    layer: Vector, f: jax.Array, before: Basis, behind: Basis, points: int
) -> np.ndarray:
    one, two = len(before.c), len(behind.c)
    pinv = padded(before.c_pinv.T, one).T
    padded_ = padded(before.c, one), pinv, padded(behind.c, two)
    arrays = [jnp.asarray(a, f.dtype) for a in padded_]
    found = np.asarray(_mean_squares(as_partial(layer), f, *arrays, points))
    return found[: behind.c.shape[1], : before.c.shape[1]]


@functools.partial(jax.jit, static_argnums=5)
def _mean_squares(
    layer: Vector,
    f: jax.Array,
    c: jax.Array,
    pinv: jax.Array,
    after: jax.Array,
    points: int,
) -> jax.Array:
    def one(total: jax.Array, f: jax.Array) -> Any:
        own = f @ c
        conjugated = lambda v: layer(v @ pinv)
        slopes = mean_jacobian(conjugated, own, after, points)
        return total + (slopes * own[None]) ** 2, None

    start = jnp.zeros((after.shape[1], c.shape[1]), f.dtype)
    return jax.lax.scan(one, start, f)[0] / f.shape[0]


def edge_share(edges: np.ndarray, share: float = 0.95) -> float:
    """The share of the strongest edges that hold a part of the whole strength.

    Args:
      edges: strengths, at least 0.
      share: the part.

    Returns:
      A number in [0, 1]; 0 where there is no strength.

    >>> edge_share(np.array([[3.0, 0.0], [0.0, 1.0]]), 0.75)
    0.25
    """
    falling = np.sort(np.asarray(edges, np.float64).ravel())[::-1]
    total = falling.sum()
    if not total > 0:
        return 0.0
    needed = np.searchsorted(np.cumsum(falling), share * total * (1 - 1e-12)) + 1
    return float(needed / falling.size)
