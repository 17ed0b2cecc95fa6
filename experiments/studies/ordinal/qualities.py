"""Levels of quality with hard and soft labels, on two sets with their own scales."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.studies import dense_nets, programs
from experiments.studies.ordinal.config import Config
from experiments.studies.programs import Labelled
from jaxopt_lab.losses import fidelity_loss, gaussian_soft_label, level_score
from jaxopt_lab.losses.ordinal import above, soft_label_divergence
from jaxopt_lab.metrics.rank_correlation import rank_correlation

HARD, SOFT, FIDELITY = "hard labels", "soft labels", "soft labels, fidelity"
ARMS = {HARD: (0.0, 0.0), SOFT: (1.0, 0.0), FIDELITY: (1.0, 1.0)}
"""Whether labels are soft, and the share of the fidelity's weight, by arm."""

LEVELS = 5


def raters(strength: jax.Array, second: jax.Array) -> jax.Array:
    """The mean quality that the raters of both sets see in images.

    Args:
      strength: of the noise, from 0 to 1.
      second: whether an image is of the second set, whose raters punish weak noise
        less.

    Returns:
      From 5, without noise, to 1.
    """
    return 5 - 4 * jnp.where(second, strength**3, strength)


def run(key: jax.Array, data: Labelled, config: Config) -> dict[str, jax.Array]:
    """What every arm of one seed predicts for the test, and what is true.

    Args:
      key: PRNG key.
      data: images.
      config: the size of the study.

    Returns:
      ``mean`` and ``deviation`` of the level, ``(arms, n)``; ``strength`` and
      ``votes``, the deviation of the votes, ``(n,)``.
    """
    keys = jax.random.split(key, 6)
    count = len(data.labels)
    strength = jax.random.uniform(keys[0], (count,))
    second = jax.random.bernoulli(keys[1], shape=(count,))
    noise = jax.random.normal(keys[2], data.inputs.shape)
    images = data.inputs + strength[:, None] * noise
    mean = raters(strength, second)
    votes = jax.random.normal(keys[3], (count, config.votes))
    votes = jnp.clip(mean[:, None] + config.spread * votes, 1, LEVELS)
    # Deviations of few votes may be 0.
    seen, spread = jnp.mean(votes, axis=1), jnp.std(votes, axis=1) + 0.05
    hard = jax.nn.one_hot(jnp.round(seen).astype(jnp.int32) - 1, LEVELS)
    soft = gaussian_soft_label(seen, spread, levels=LEVELS)
    start = dense_nets.dense_params(keys[4], 64, config.width, config.width, LEVELS)
    places = programs.picks(keys[5], config.steps, 2 * config.batch, config.train)

    def one(given: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        softly, fidelity = given
        labels = jnp.where(softly > 0, soft, hard)

        def loss(params: Any, at: jax.Array) -> jax.Array:
            scores = dense_nets.dense(params, images[at])
            plain = jnp.mean(soft_label_divergence(scores, labels[at]))
            level = level_score(scores)
            pair = lambda x: (x[:, None], x[None])
            (a, b), (va, vb) = pair(level.mean), pair(level.var)
            (s, t), (vs, vt) = pair(seen[at]), pair(spread[at] ** 2)
            apart = fidelity_loss(a, va, b, vb, above(s, vs, t, vt))
            # Scales of two sets have nothing to do with one another.
            same = second[at][:, None] == second[at][None]
            same = (same & ~jnp.eye(len(at), dtype=bool)).astype(apart.dtype)
            more = jnp.sum(same * apart) / jnp.maximum(jnp.sum(same), 1)
            return plain + config.fidelity * fidelity * more

        tx = optax.adam(config.rate)
        params, _ = programs.trained(loss, tx, start, places)
        found = level_score(dense_nets.dense(params, images[config.train :]))
        return found.mean, jnp.sqrt(found.var)

    mean, deviation = jax.lax.map(one, tuple(jnp.array([*ARMS.values()]).T))
    return {
        "mean": mean,
        "deviation": deviation,
        "strength": strength[config.train :],
        "votes": spread[config.train :],
    }


def scores(found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Correlations over the test, pooled over both sets.

    Args:
      found: of ``run``, with seeds in front.

    Returns:
      ``(seeds, arms)``: rank correlation and correlation of quality, and correlation
      of the deviations.
    """
    result = {
        n: np.zeros(found["mean"].shape[:2]) for n in ("quality", "linear", "spread")
    }
    for seed, arm in np.ndindex(found["mean"].shape[:2]):
        mean, true = found["mean"][seed, arm], -found["strength"][seed]
        result["quality"][seed, arm] = rank_correlation(mean, true)
        result["linear"][seed, arm] = np.corrcoef(mean, true)[0, 1]
        own = found["deviation"][seed, arm]
        result["spread"][seed, arm] = np.corrcoef(own, found["votes"][seed])[0, 1]
    return result
