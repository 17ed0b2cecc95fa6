"""Accuracies of adapters on turned digits, and of a bundled net."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.store import Store
from experiments.studies import dense_nets, programs
from experiments.studies.adapters.config import Config
from experiments.studies.adapters.networks import CLASSES, HIDDEN, Arm, arms
from experiments.studies.programs import Labelled
from jaxopt_lab.layers import bundle, kernel_features, solve_bundled

SIDE = 8


class Measured(NamedTuple):
    """Accuracies on the test images.

    Attributes:
      upright: of the perceptron on its own task, ``(seeds,)``.
      untrained: of the same on turned digits, ``(seeds,)``.
      adapted: of the arms on turned digits, ``{arm: (rates, seeds)}``.
      bundled: of the bundled net on upright digits, ``(ridges, seeds)``.
      sizes: numbers of parameters of the arms.
    """

    upright: np.ndarray
    untrained: np.ndarray
    adapted: dict[str, np.ndarray]
    bundled: np.ndarray
    sizes: dict[str, int]


def turned(data: Labelled) -> Labelled:
    """The same images, turned by a quarter.

    Args:
      data: flat images.

    Returns:
      Flat images with their labels.
    """
    images = data.inputs.reshape(-1, SIDE, SIDE)
    return data._replace(inputs=jnp.rot90(images, axes=(1, 2)).reshape(len(images), -1))


def measure(config: Config, store: Store) -> Measured:
    """Train the perceptron, then every adapter on it; see ``Experiment.measure``."""
    train, test = programs.digits()
    tasks = train, test, turned(train), turned(test)
    named = arms(config)

    def run(key: jax.Array, *tasks: Labelled) -> dict[str, jax.Array]:
        trunk = _trunk(config, jax.random.fold_in(key, 0), tasks[0])
        own = jax.random.fold_in(key, 1)
        found = {
            n: _adapted(config, a, own, trunk, *tasks[2:]) for n, a in named.items()
        }
        scores = lambda task: dense_nets.dense(trunk, task.inputs)
        right = [dense_nets.accuracy(scores(t), t.labels) for t in tasks[1::2]]
        return {"upright": right[0], "untrained": right[1], **found}

    rows = store.group("runs")
    take = lambda: programs.over_seeds(run, config, *tasks)
    found = rows.measured("all", take)
    # One seed after the other: the solves of the ridges, batched over seeds, would be
    # run at once, which need not end on a CPU; see ``solve_bundled``.
    closed = lambda key, *data: {"accuracy": _bundled(config, key, *data)}
    take = lambda: programs.over_seeds(closed, config, train, test, loop=True)
    bundled = rows.measured("bundled", take)
    return Measured(
        found["upright"],
        found["untrained"],
        {name: found[name].T for name in named},
        bundled["accuracy"].T,
        {name: arm.size for name, arm in named.items()},
    )


def _trunk(config: Config, key: jax.Array, train: Labelled) -> Any:
    keys = jax.random.split(key)
    sizes = (SIDE**2, *[config.width] * HIDDEN, CLASSES)
    start = dense_nets.dense_params(keys[0], *sizes)
    at = programs.picks(keys[1], config.steps, config.batch, len(train.labels))

    def loss(params: Any, at: jax.Array) -> jax.Array:
        scores = dense_nets.dense(params, train.inputs[at])
        return dense_nets.mean_cross_entropy(scores, train.labels[at])

    return programs.trained(loss, optax.adam(config.rate), start, at)[0]


def _adapted(
    config: Config,
    arm: Arm,
    key: jax.Array,
    trunk: Any,
    train: Labelled,
    test: Labelled,
) -> jax.Array:
    keys = jax.random.split(key)
    start = arm.init(keys[0], trunk)
    at = programs.picks(keys[1], config.steps, config.batch, len(train.labels))

    def loss(params: Any, at: jax.Array) -> jax.Array:
        scores = arm.scores(params, trunk, train.inputs[at])
        return dense_nets.mean_cross_entropy(scores, train.labels[at])

    def right(params: Any) -> jax.Array:
        return dense_nets.accuracy(arm.scores(params, trunk, test.inputs), test.labels)

    return programs.at_rates(loss, start, at, config.rates, right)


def _bundled(
    config: Config, key: jax.Array, train: Labelled, test: Labelled
) -> jax.Array:
    keys = jax.random.split(key, HIDDEN)
    count = config.features
    drawn = [jax.random.normal(keys[0], (count, SIDE**2))]
    drawn += [jax.random.normal(k, (count, count)) for k in keys[1:]]
    layer = lambda g: lambda x: kernel_features(x, g, radius=1.0)
    whole = bundle([layer(g) for g in drawn])
    inner, outer = whole(train.inputs), whole(test.inputs)
    targets = jax.nn.one_hot(train.labels, CLASSES)

    def of(ridge: float) -> jax.Array:
        weights = solve_bundled(inner, targets, ridge=ridge)
        return dense_nets.accuracy(outer @ weights.T, test.labels)

    return jnp.stack([of(ridge) for ridge in config.ridges])
