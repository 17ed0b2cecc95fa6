"""Losses of masked tokens, by mixer."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.store import Store
from experiments.studies import programs
from experiments.studies.memory_saving.measure import chain, draw
from experiments.studies.mixers import network
from experiments.studies.mixers.config import Config


class Measured(NamedTuple):
    """Everything that is measured, by arm.

    Attributes:
      losses: of masked tokens of the test texts, in nats, ``{arm: (seeds,)}``.
      sizes: numbers of parameters.
    """

    losses: dict[str, np.ndarray]
    sizes: dict[str, int]


def measure(config: Config, store: Store) -> Measured:
    """Train the network of every arm on the same texts; see ``Experiment.measure``."""
    keys = jax.random.split(jax.random.key(1000))
    logits = chain(keys[0], config.tokens)
    make = lambda key, n: draw(key, logits, n, config.length)
    whole = jax.jit(make, static_argnums=1)(keys[1], config.texts + config.tests)
    train, test = whole[: config.texts], whole[config.texts :]
    rows, losses, sizes = store.group("runs"), {}, {}
    for arm in config.arms:
        init = lambda key, arm=arm: network.init(key, config, arm)
        run = lambda start, key, *t, arm=arm: _run(config, arm, start, key, *t)
        take = lambda init=init, run=run: {
            "loss": programs.over_starts(init, run, config, train, test)
        }
        losses[arm] = rows.measured(arm, take)["loss"]
        sizes[arm] = network.size(jax.eval_shape(init, jax.random.key(0)))
    return Measured(losses, sizes)


def masked_loss(scores: jax.Array, text: jax.Array, masked: jax.Array) -> jax.Array:
    """The mean cross entropy of the tokens that are masked.

    Args:
      scores: ``(B, T, tokens)``.
      text: ``(B, T)``.
      masked: booleans.

    Returns:
      A number; 0 where none is masked.
    """
    each = optax.softmax_cross_entropy_with_integer_labels(scores, text)
    total = jnp.sum(jnp.where(masked, each, 0))
    return total / jnp.maximum(jnp.sum(masked), 1)


def _run(
    config: Config,
    arm: str,
    start: Any,
    key: jax.Array,
    train: jax.Array,
    test: jax.Array,
) -> jax.Array:
    keys = jax.random.split(key, 3)
    at = programs.picks(keys[0], config.steps, config.batch, len(train))
    drawn = jax.random.uniform(keys[1], (*at.shape, config.length)) < config.masked

    def loss(params: Any, batch: Any) -> jax.Array:
        text, masked = train[batch[0]], batch[1]
        return masked_loss(
            network.scores(params, config, arm, text, masked), text, masked
        )

    params, _ = programs.trained(loss, optax.adam(config.rate), start, (at, drawn))
    masked = jax.random.uniform(jax.random.key(0), test.shape) < config.masked
    return masked_loss(network.scores(params, config, arm, test, masked), test, masked)
