"""Test accuracy from every start, with every amount of noise."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.store import Store
from experiments.studies import dense_nets, programs
from experiments.studies.noise.config import Config
from jaxopt_lab.losses.classification import cross_entropy

STARTS = ("too small", "zero", "He")
_PAPERS_UNITS, _PAPERS_DEVIATION = 50, 0.1


class Measured(NamedTuple):
    """Everything that is measured.

    Attributes:
      accuracy: on the test set, ``(seeds, starts, arms, rates)``; the first arm is
        without noise, the others are ``etas``.
    """

    accuracy: np.ndarray


def start(key: jax.Array, kind: jax.Array, config: Config) -> dict[str, jax.Array]:
    """The weights at the start; the last row of a matrix is the bias, 0.

    Args:
      key: PRNG key.
      kind: place in ``STARTS``, traced. Too small: the paper's deviation of 0.1, which
        is for 50 units, times the root of 50 over the width, which keeps what a layer
        does to the variance.
      config: the size of the study.

    Returns:
      ``first``, ``hidden``, ``last``; the hidden layers are one array.
    """
    width, inner = config.width, config.layers - 2
    small = _PAPERS_DEVIATION * (_PAPERS_UNITS / width) ** 0.5
    shapes = {"first": (1, 64, width), "hidden": (inner, width, width)}
    shapes["last"] = (1, width, 10)
    params = {}
    for i, (name, shape) in enumerate(shapes.items()):
        scale = jnp.array([small, 0, (2 / shape[1]) ** 0.5])[kind]
        drawn = scale * jax.random.normal(jax.random.fold_in(key, i), shape)
        params[name] = jnp.pad(drawn, ((0, 0), (0, 1), (0, 0)))
    return params


def logits(params: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    """Dense layers with ReLU between them.

    Args:
      params: of ``start``.
      x: ``(examples, 64)``.

    Returns:
      ``(examples, 10)``.
    """

    def layer(x: jax.Array, w: jax.Array) -> jax.Array:
        return x @ w[:-1] + w[-1]

    x = jax.nn.relu(layer(x, params["first"][0]))
    # A loop, not one layer after another in the program: it compiles once.
    x, _ = jax.lax.scan(
        lambda x, w: (jax.nn.relu(layer(x, w)), None), x, params["hidden"]
    )
    return layer(x, params["last"][0])


def measure(config: Config, store: Store) -> Measured:
    """Train from every start with every amount of noise; see ``Experiment.measure``."""
    axes = range(len(STARTS)), (0.0, *config.etas), config.rates
    run = lambda key, point, *data: {"accuracy": _run(key, point, data, config)}
    take = lambda: programs.over_grid(run, config, axes, *programs.digits())
    row = store.group("runs").measured("all", take)
    return Measured(row["accuracy"])


def _run(key: jax.Array, point: Any, data: Any, config: Config) -> jax.Array:
    (kind, eta, rate), (train, test) = point, data
    start_key, order, noise_key = jax.random.split(key, 3)

    def loss(params: Any, index: jax.Array) -> jax.Array:
        scores = logits(params, train.inputs[index])
        return jnp.mean(cross_entropy(scores, train.labels[index]))

    tx = optax.chain(
        optax.clip_by_global_norm(config.clip),
        optax.add_noise(eta, config.gamma, noise_key),
        optax.sgd(rate),
    )
    index = programs.picks(order, config.steps, config.batch, len(train.labels))
    params, _ = programs.trained(loss, tx, start(start_key, kind, config), index)
    return dense_nets.accuracy(logits(params, test.inputs), test.labels)
