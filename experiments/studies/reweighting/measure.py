"""Test accuracy of every strategy, and the weights of copies and of wrong labels."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.store import Store
from experiments.studies import dense_nets, programs
from experiments.studies.reweighting.config import Config
from jaxopt_lab.losses.classification import cross_entropy
from jaxopt_lab.losses.reweighting import loss_weights

STRATEGIES = ("uniform", "linupper", "quadratic", "extremes")
PANELS = ("repeated examples", "wrong labels")


class Measured(NamedTuple):
    """Everything that is measured, by strategy.

    Attributes:
      accuracy: on the test set, ``(seeds, panels, rates)``.
      share: of the weights of the whole pool at the end, that of copies or of wrong
        labels over their part of the pool; likewise.
    """

    accuracy: dict[str, np.ndarray]
    share: dict[str, np.ndarray]


class Pool(NamedTuple):
    """The training examples of a run.

    Attributes:
      places: in the training set, ``(pool,)``.
      labels: some of them wrong if they are noisy.
      marked: the copies, or the examples of wrong labels.
    """

    places: jax.Array
    labels: jax.Array
    marked: jax.Array


def pool(key: jax.Array, labels: jax.Array, noisy: jax.Array, config: Config) -> Pool:
    """Draw the training examples.

    Args:
      key: PRNG key.
      labels: of the whole training set.
      noisy: whether labels are wrong; else the second half are copies.
      config: the size of the study.

    Returns:
      The pool.
    """
    order_key, label_key = jax.random.split(key)
    order = jax.random.permutation(order_key, labels.shape[0])
    place = jnp.arange(config.pool)
    half = config.pool // 2
    copied = half + (place - half) % config.originals
    places = order[jnp.where(noisy | (place < half), place, copied)]
    wrong = place < round(config.wrong * config.pool)
    shift = jax.random.randint(label_key, (config.pool,), 1, 10)
    right = labels[places]
    changed = jnp.where(noisy & wrong, (right + shift) % 10, right)
    return Pool(places, changed, jnp.where(noisy, wrong, place >= half))


def measure(config: Config, store: Store) -> Measured:
    """Train with every strategy; see ``Experiment.measure``."""
    axes = range(len(STRATEGIES)), [False, True], config.rates
    run = lambda key, point, *data: _run(key, point, data, config)
    take = lambda: programs.over_grid(run, config, axes, *programs.digits())
    row = store.group("runs").measured("all", take)
    by = lambda name: {s: row[name][:, i] for i, s in enumerate(STRATEGIES)}
    return Measured(by("accuracy"), by("share"))


def weights(losses: jax.Array, strategy: jax.Array, r: float) -> jax.Array:
    """Weights of the examples of a batch, their mean 1.

    Args:
      losses: one for each example.
      strategy: its place in ``STRATEGIES``, traced.
      r: evenness of the weights.

    Returns:
      One for each example; constants to the gradient.
    """
    known: Any = STRATEGIES[1:]
    found = [losses.size * loss_weights(losses, strategy=s, r=r) for s in known]
    return jnp.stack([jnp.ones_like(losses), *found])[strategy]


def _run(key: jax.Array, point: Any, data: Any, config: Config) -> dict[str, jax.Array]:
    (strategy, noisy, rate), (train, test) = point, data
    pool_key, start, order = jax.random.split(key, 3)
    mine = pool(pool_key, train.labels, noisy, config)
    inputs = train.inputs[mine.places]

    def losses(params: Any, index: jax.Array) -> jax.Array:
        return cross_entropy(
            dense_nets.dense(params, inputs[index]), mine.labels[index]
        )

    def loss(params: Any, batch: Any) -> jax.Array:
        index, weighted = batch
        each = losses(params, index)
        factors = jnp.where(weighted, weights(each, strategy, config.r), 1)
        return jnp.mean(factors * each)

    index = programs.picks(order, config.steps, config.batch, config.pool)
    batches = index, jnp.arange(config.steps) >= config.first
    tx = optax.sgd(rate, momentum=0.9)
    params = dense_nets.dense_params(start, 64, config.width, 10)
    params, _ = programs.trained(loss, tx, params, batches)
    last = weights(losses(params, jnp.arange(config.pool)), strategy, config.r)
    return {
        "accuracy": dense_nets.accuracy(
            dense_nets.dense(params, test.inputs), test.labels
        ),
        "share": jnp.mean(last, where=mine.marked),
    }
