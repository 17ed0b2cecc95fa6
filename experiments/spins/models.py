"""Energies of +-1 spins whose change with one spin is cheap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Model(NamedTuple):
    """An energy, and the numbers that are kept while spins change one at a time.

    Attributes:
      kept: ``kept(spins)``, any array.
      gap: ``gap(kept, spins, i)``, the energy at spin i = -1 less that at +1.
      changed: ``changed(kept, i, change)``, after spin i has changed by -2, 0 or 2.
      energy: ``energy(spins)``.
    """

    kept: Callable[[jax.Array], Any]
    gap: Callable[[Any, jax.Array, jax.Array], jax.Array]
    changed: Callable[[Any, jax.Array, jax.Array], Any]
    energy: Callable[[jax.Array], jax.Array]


def hopfield(
    patterns: jax.Array,
    potential: Callable[[jax.Array], jax.Array],
    weights: jax.Array | None = None,
) -> Model:
    r"""Associative memory, a sum of one potential of every pattern's overlap.

    .. math:: H(s) = -\sum_\mu w_\mu F\Big(\sum_i \xi_{\mu i} s_i\Big)

    The change with one spin is that of the potential: there is no self-term.

    Args:
      patterns: :math:`\xi`, ``(K, N)``.
      potential: F, pointwise.
      weights: w, ``(K,)``; ``None``: ones.

    Returns:
      The model; a change of a spin costs K operations.

    >>> model = hopfield(jnp.ones((1, 3)), lambda m: m**2)
    >>> spins = jnp.array([1.0, 1.0, -1.0])
    >>> float(model.energy(spins)), float(model.gap(model.kept(spins), spins, 2))
    (-1.0, 8.0)
    """
    w = jnp.ones(len(patterns), patterns.dtype) if weights is None else weights
    # A spin's entries in one row: slices of columns are slow.
    columns = patterns.T

    def gap(kept: jax.Array, spins: jax.Array, i: jax.Array) -> jax.Array:
        own = columns[i]
        others = kept - own * spins[i]
        return jnp.sum(w * (potential(others + own) - potential(others - own)))

    return Model(
        kept=lambda spins: patterns @ spins,
        gap=gap,
        changed=lambda kept, i, change: kept + columns[i] * change,
        energy=lambda spins: -jnp.sum(w * potential(patterns @ spins)),
    )


def three_spin(couplings: jax.Array) -> Model:
    r"""Spin glass :math:`H = -\sum_{i<j<k} J_{ijk} s_i s_j s_k`.

    Args:
      couplings: symmetric, zero where two indices agree, ``(N, N, N)``.

    Returns:
      The model; a change of a spin costs N**2 operations.
    """

    def field(spins: jax.Array, i: jax.Array) -> jax.Array:
        return spins @ couplings[i] @ spins / 2

    def energy(spins: jax.Array) -> jax.Array:
        fields = (couplings @ spins) @ spins / 2
        return -(fields @ spins) / 3

    return Model(
        kept=lambda spins: jnp.zeros((), spins.dtype),
        gap=lambda kept, spins, i: 2 * field(spins, i),
        changed=lambda kept, i, change: kept,
        energy=energy,
    )


def gaussian_couplings(key: jax.Array, size: int) -> jax.Array:
    r"""Couplings of ``three_spin``, Gaussian of variance :math:`3 / N^2`.

    Args:
      key: typed random key.
      size: N.

    Returns:
      ``(N, N, N)``.
    """
    drawn = jax.random.normal(key, (size,) * 3)
    i, j, k = jnp.meshgrid(*[jnp.arange(size)] * 3, indexing="ij")
    half = jnp.where((i < j) & (j < k), drawn, 0) * (3**0.5 / size)
    orders = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))
    return sum((half.transpose(order) for order in orders), jnp.zeros_like(half))


def distinct_cube(size: int) -> Callable[[jax.Array], jax.Array]:
    r"""Potential of the dense memory of three spins without equal indices.

    With :math:`M = \sum_i \xi_i s_i` of +-1 numbers the sum over different i, j, k is
    :math:`M^3 - (3N - 2) M`; here it is divided by :math:`N^2`. The terms of two equal
    indices would be a random field on every spin.

    Args:
      size: N.

    Returns:
      The potential.

    >>> round(9 * float(distinct_cube(3)(jnp.array(3.0))), 5)  # 3! products
    6.0
    """
    return lambda m: (m**3 - (3 * size - 2) * m) / size**2
