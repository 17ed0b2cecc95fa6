"""Parallel tempering of the glass and of the dense network, and a spectrum."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from experiments.applications.replica_symmetry.config import MODELS, Config, Measured
from experiments.harness.store import Arrays, Store
from experiments.spins.models import (
    distinct_cube,
    gaussian_couplings,
    hopfield,
    three_spin,
)
from experiments.spins.monte_carlo import tempered
from experiments.spins.replicas import one_step_breaking, replica_symmetric
from experiments.spins.retrieval import signs
from jaxopt_lab.diagnostics.theory.marchenko_pastur import marchenko_pastur_density


@functools.partial(jax.jit, static_argnames=("config", "model", "size"))
def sampled(keys: jax.Array, config: Config, model: str, size: int):
    """Energies, least energies and histograms of overlaps of samples.

    Two systems of the same couplings or patterns run side by side; their overlap at the
    lowest temperature is counted after each sweep.
    """
    betas = 1 / jnp.array(config.temperatures)

    def one(key: jax.Array):
        drawn, started, run = jax.random.split(key, 3)
        if model == MODELS[0]:
            energy, scale = three_spin(gaussian_couplings(drawn, size)), 1.0
        else:
            count = round(config.load * size**2)
            patterns = 2.0 * jax.random.bernoulli(drawn, 0.5, (count, size)) - 1
            energy, scale = hopfield(patterns, distinct_cube(size)), config.scale
        shape = (2, len(betas), size)
        spins = 2.0 * jax.random.bernoulli(started, 0.5, shape) - 1
        keys = jax.random.split(run, 2)
        run_one = functools.partial(
            tempered, model=energy, betas=betas / scale, sweeps=config.steps
        )
        energies, spins = jax.vmap(lambda k, s: run_one(k, spins=s))(keys, spins)
        energies = energies / (scale * size)
        half = config.steps // 2
        overlap = jnp.mean(spins[0, half:, -1] * spins[1, half:, -1], axis=-1)
        edges = jnp.linspace(-1, 1, config.bins + 1)
        density = jnp.histogram(overlap, edges, density=True)[0]
        return energies[:, half:].mean((0, 1)), energies.min(), density

    return jax.vmap(one)(keys)


def row(config: Config, model: str, size: int, seed: int) -> Arrays:
    """Means over the samples of a seed."""
    number = 2 * size + MODELS.index(model)
    key = jax.random.fold_in(jax.random.key(seed), number)
    keys = jax.random.split(key, config.samples)
    energies, lowest, density = sampled(keys, config, model, size)
    return {
        "energies": energies.mean(0),
        "lowest": lowest.mean(),
        "density": density.mean(0),
    }


def spectrum(config: Config, seed: int) -> Arrays:
    """Eigenvalues of pair couplings, and their distance from two laws."""
    size, ratio = config.matrix
    patterns = signs(np.random.default_rng(seed), round(ratio * size), size)
    values = np.linalg.eigvalsh(patterns.T @ patterns / size)
    grid = np.linspace(1e-3, (1 + ratio**0.5) ** 2 + 1, 2000)
    law = np.asarray(marchenko_pastur_density(grid, ratio), float)
    radius = 2 * ratio**0.5
    circle = np.maximum(1 - ((grid - ratio) / radius) ** 2, 0) ** 0.5
    found = np.searchsorted(values, grid, side="right") / size
    distances = [
        np.max(np.abs(np.cumsum(d) / np.sum(d) - found)) for d in (law, circle)
    ]
    return {"values": values, "distances": distances}


def measure(config: Config, store: Store) -> Measured:
    """Measure; see ``Experiment.measure``."""
    betas = [1 / t for t in config.temperatures]
    rows, spectra = store.group("tempering"), store.group("spectra")
    seeds = range(config.first_seed, config.first_seed + config.seeds)
    every = [
        [
            [
                rows.measured(
                    f"{model}, N = {n}, seed {s}",
                    functools.partial(row, config, model, n, s),
                )
                for s in seeds
            ]
            for n in config.spins
        ]
        for model in config.models
    ]

    def stacked(name: str) -> np.ndarray:
        return np.array(
            [[[r[name] for r in size] for size in model] for model in every]
        )

    spectra = [
        spectra.measured(f"seed {s}", functools.partial(spectrum, config, s))
        for s in seeds
    ]
    return Measured(
        broken=[one_step_breaking(beta, 3) for beta in betas],
        symmetric=[replica_symmetric(beta, 3) for beta in betas],
        energies=stacked("energies"),
        lowest=stacked("lowest"),
        overlaps=stacked("density")[:, -1],
        distances=np.array([s["distances"] for s in spectra]),
        spectrum=spectra[0]["values"],
    )
