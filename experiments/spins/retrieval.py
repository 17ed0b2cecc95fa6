"""Retrieval of archetypes by networks of +-1 spins."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np

from experiments.spins.dense import fields, teacher_averages
from experiments.spins.models import hopfield
from experiments.spins.monte_carlo import sweep


def signs(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Random +-1 in float32."""
    return rng.choice(np.array([-1, 1], np.float32), shape)


def flipped(rng: np.random.Generator, spins: np.ndarray, share: float) -> np.ndarray:
    """The spins, each turned with a probability."""
    return np.where(rng.random(spins.shape) < share, -spins, spins)


@jax.jit(static_argnames="power")
def overlaps_after_update(
    patterns: jax.Array, archetypes: jax.Array, power: int
) -> jax.Array:
    """Overlap of each archetype with the spins after one update from it.

    Args:
      patterns: stored, ``(K, N)``.
      archetypes: ``(starts, N)``.
      power: P.

    Returns:
      ``(starts,)``.
    """

    def one(start: jax.Array) -> jax.Array:
        return jnp.mean(jnp.sign(fields(patterns, start, power)) * start)

    return jax.lax.map(one, archetypes)


def mean_overlap(
    rng: np.random.Generator,
    stored: int,
    examples: int,
    power: int,
    *,
    spins: int,
    quality: float,
    starts: int,
) -> float:
    """Mean of ``overlaps_after_update``, over as many networks as the starts need.

    Args:
      rng: of NumPy.
      stored: K random archetypes.
      examples: M of each.
      power: P.
      spins: N.
      quality: r of the examples.
      starts: archetypes from which an update starts.

    Returns:
      The mean.
    """
    found, each = [], min(stored, starts)
    for _ in range(math.ceil(starts / each)):
        archetypes = signs(rng, stored, spins)
        patterns = teacher_averages(rng, archetypes, examples, quality)
        chosen = archetypes[:each]
        found.append(np.mean(overlaps_after_update(patterns, chosen, power=power)))
    return float(np.mean(found))


@jax.jit(static_argnames=("power", "sweeps"))
def retrieved(
    key: jax.Array, patterns: jax.Array, starts: jax.Array, power: int, sweeps: int
) -> jax.Array:
    r"""Spins after sweeps at zero temperature of :math:`H = -N \sum_\mu m_\mu^P`.

    Args:
      key: typed random key.
      patterns: stored, ``(K, N)``.
      starts: ``(starts, N)``.
      power: P.
      sweeps: their number.

    Returns:
      ``(starts, N)``.
    """
    n = patterns.shape[1]
    model = hopfield(patterns, lambda m: n * (m / n) ** power)

    def run(key: jax.Array, spins: jax.Array) -> jax.Array:
        def advance(spins: jax.Array, key: jax.Array):
            return sweep(key, model, spins, jnp.inf), None

        return jax.lax.scan(advance, spins, jax.random.split(key, sweeps))[0]

    return jax.vmap(run)(jax.random.split(key, len(starts)), starts)
