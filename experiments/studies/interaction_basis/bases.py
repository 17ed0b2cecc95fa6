"""Bases of the layers of a network, and other coordinates for a layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.studies.interaction_basis.config import Config
from jaxopt_lab.diagnostics import Basis, interaction_basis

Layers = Sequence[Callable[[jax.Array], jax.Array]]


def local(config: Config, layers: Layers, x: jax.Array) -> Sequence[Basis]:
    """The local interaction bases of all layers."""
    return interaction_basis(layers, x, threshold=config.threshold).bases


def principal(config: Config, layers: Layers, x: jax.Array) -> Sequence[Basis]:
    """The principal directions of the activations of all layers."""
    found = []
    for f in _activations(layers, x):
        values, vectors = np.linalg.eigh(f.T @ f / len(f))
        keep = values > config.threshold * values[-1]
        values, u = values[keep][::-1], vectors[:, keep][:, ::-1]
        found.append(Basis(u, u.T, values, len(values), 0.0))
    return found


def neurons(config: Config, layers: Layers, x: jax.Array) -> Sequence[Basis]:
    """The coordinates of all layers as they are."""
    del config
    found = []
    for f in _activations(layers, x):
        eye = np.eye(f.shape[1])
        found.append(Basis(eye, eye, np.mean(f**2, 0), len(eye), 0.0))
    return found


BASES = {"local": local, "principal": principal, "neurons": neurons}


def _activations(layers: Layers, x: jax.Array) -> list[np.ndarray]:
    found = [np.asarray(x)]
    for layer in layers:
        found.append(np.asarray(jax.vmap(layer)(jnp.asarray(found[-1]))))
    return found


def other_coordinates(
    rng: np.random.Generator, size: int, stretch: float
) -> np.ndarray:
    """An invertible matrix: a rotation, factors, and a rotation.

    Args:
      rng: the generator.
      size: of the square matrix.
      stretch: largest size of the logarithms of the factors.

    Returns:
      The matrix.
    """
    one, two = (np.linalg.qr(rng.normal(size=(size, size)))[0] for _ in range(2))
    return one * np.exp(rng.uniform(-stretch, stretch, size)) @ two


def then(layer: Any, matrix: np.ndarray) -> Any:
    """The layer, its result in other coordinates."""
    return jax.tree_util.Partial(_then, layer, jnp.asarray(matrix))


def first(layer: Any, matrix: np.ndarray) -> Any:
    """The layer of an input in other coordinates."""
    return jax.tree_util.Partial(_first, layer, jnp.asarray(matrix))


def _then(layer: Any, matrix: jax.Array, f: jax.Array) -> jax.Array:
    return layer(f) @ matrix


def _first(layer: Any, matrix: jax.Array, f: jax.Array) -> jax.Array:
    return layer(f @ matrix)
