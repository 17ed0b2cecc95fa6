"""Scores of source networks, and their accuracy after fine-tuning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.store import Store
from experiments.studies import dense_nets, programs, small_data
from experiments.studies.programs import Labelled
from experiments.studies.selection.config import Config
from jaxopt_lab.metrics import (
    h_score,
    leave_one_out_accuracy,
    parc,
    representation_similarity,
)

SOURCES = (
    "digits 0 to 4",
    "0 to 4 turned",
    "digits 5 to 9",
    "digits turned",
    "turns",
    "odd or even",
    "pixels shuffled",
    "random labels",
    "untrained",
)
"""Tasks of the source networks; all but the first two are on the digits 5 to 9."""

SCORES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "PARC": parc,
    "labels' similarity": lambda x, y: representation_similarity(x, np.eye(5)[y]),
    "H-score": h_score,
    "nearest neighbour": leave_one_out_accuracy,
}


class Measured(NamedTuple):
    """Everything that is measured.

    Attributes:
      accuracy: after fine-tuning, ``(sources, seeds)``.
      scores: of the features before it, likewise, by name.
    """

    accuracy: np.ndarray
    scores: dict[str, np.ndarray]


def tasks(key: jax.Array, own: Labelled, data: Labelled) -> Labelled:
    """The source tasks.

    Args:
      key: PRNG key.
      own: digits from 0 to 4.
      data: as many digits from 5 to 9.

    Returns:
      Inputs and labels with an axis of tasks in front; the last one, of the network
      that stays as it is, repeats that of the digits from 5 to 9.
    """
    keys = jax.random.split(key, 3)
    x, y = data.inputs, data.labels - 5

    def turn(x: jax.Array, times: int) -> jax.Array:
        images = x.reshape(-1, 8, 8)
        return jnp.rot90(images, times, axes=(1, 2)).reshape(x.shape)

    turned = jnp.stack([turn(x, k) for k in range(4)])
    number = jax.random.randint(keys[0], y.shape, 0, 4)
    turns = jnp.take_along_axis(turned, number[None, :, None], axis=0)[0]
    shuffled = x[:, jax.random.permutation(keys[1], x.shape[1])]
    wrong = jax.random.randint(keys[2], y.shape, 0, 5)
    inputs = (own.inputs, turn(own.inputs, 1), x, turned[1], turns, x, shuffled, x, x)
    same = own.labels
    labels = (same, same, y, y, number, data.labels % 2, y, wrong, y)
    return Labelled(jnp.stack(inputs), jnp.stack(labels))


def measure(config: Config, store: Store) -> Measured:
    """Train the sources, score them, fine-tune them; see ``Experiment.measure``."""
    data = small_data.all_digits()
    run = lambda key, x, y: _run(key, Labelled(x, y), config)

    def take() -> dict[str, np.ndarray]:
        found = programs.over_seeds(run, config, *data, loop=True)
        shape = found["accuracy"].shape
        row = {"accuracy": found["accuracy"].T}
        for name, score in SCORES.items():
            values = np.zeros(shape)
            for at in np.ndindex(shape):
                values[at] = score(found["features"][at], found["labels"][at[0]])
            row[name] = values.T
        return row

    row = store.group("runs").measured("all sources", take)
    return Measured(row.pop("accuracy"), row)


def _run(key: jax.Array, data: Labelled, config: Config) -> dict[str, jax.Array]:
    keys = jax.random.split(key, 7)
    data = small_data.noisy(keys[0], data, config.noise)
    counts = [config.labels] * 5 + [0] * 5
    train, test, rest = small_data.by_class(keys[1], data, counts, config.tested)
    # The test's first half is of the classes 0 to 4: sets are sorted by class.
    test = small_data.picked(test, jnp.arange(5 * config.tested))
    own, other = (
        small_data.picked(rest, jnp.nonzero(chosen, size=_others(config))[0])
        for chosen in (rest.labels < 5, rest.labels >= 5)
    )
    width = config.width
    start = dense_nets.dense_params(keys[2], 64, width, width, 5)
    places = programs.picks(keys[3], config.source_steps, config.batch, _others(config))
    tuning = programs.picks(keys[4], config.steps, config.batch, len(train.labels))
    head = dense_nets.dense_params(keys[6], width, 5)

    def loss(params: Any, batch: Labelled) -> jax.Array:
        scores = dense_nets.dense(params, batch.inputs)
        entropy = optax.softmax_cross_entropy_with_integer_labels
        return jnp.mean(entropy(scores, batch.labels))

    def one(given: tuple[Labelled, jax.Array]) -> tuple[jax.Array, jax.Array]:
        task, rate = given
        batches = small_data.picked(task, places)
        trained, _ = programs.trained(loss, optax.adam(rate), start, batches)
        features = jax.nn.relu(dense_nets.dense(trained[:-1], train.inputs))
        tuned, _ = programs.trained(
            loss,
            optax.adam(config.rate),
            [*trained[:-1], *head],
            small_data.picked(train, tuning),
        )
        scores = dense_nets.dense(tuned, test.inputs)
        return features, dense_nets.accuracy(scores, test.labels)

    rates = config.rate * (jnp.arange(len(SOURCES)) < len(SOURCES) - 1)
    features, accuracy = jax.lax.map(one, (tasks(keys[5], own, other), rates))
    return {"features": features, "accuracy": accuracy, "labels": train.labels}


def _others(config: Config) -> int:
    """Digits of either half that are left for sources; there are 901 and 897."""
    return min(901 - 5 * config.labels, 897) - 5 * config.tested
