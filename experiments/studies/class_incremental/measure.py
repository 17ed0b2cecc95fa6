"""Accuracies of all arms after every task."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness.store import Store
from experiments.studies.class_incremental import arms
from experiments.studies.class_incremental.config import NEW, Config
from experiments.studies.class_incremental.network import (
    ATTRIBUTES,
    CLASSES,
    by_class,
)
from experiments.studies.programs import digits, over_seeds


class Measured(NamedTuple):
    """Everything that is measured.

    Attributes:
      accuracy: on the test examples of each class after each task, by arm,
        ``(seeds, tasks, classes)``; classes in the order in which they are learned.
    """

    accuracy: dict[str, np.ndarray]


def measure(config: Config, store: Store) -> Measured:
    """Run every arm through the tasks; see ``Experiment.measure``."""
    data = [by_class(part) for part in digits()]
    rows, found = store.group("runs"), {}
    pairs = {
        "replay": (arms.replay, "fine-tuning"),
        "podnet": (arms.podnet, "proxies"),
    }
    for name, (run, without) in pairs.items():
        both = rows.measured(name, lambda run=run: {"value": _both(run, data, config)})[
            "value"
        ]
        found[without], found[name] = both[:, 0], both[:, 1]
    with_ghosts = rows.measured("ghost", lambda: {"value": _ghost(data, config)})
    found["ghost"] = with_ghosts["value"]
    return Measured(found)


def _both(run: Any, data: Any, config: Config) -> np.ndarray:
    """Without and with what the arm adds: a number that is 0 or 1."""

    def of_seed(key: jax.Array, train: jax.Array, test: jax.Array) -> jax.Array:
        key, order = _order(key)
        one = lambda number: run(key, number, train[order], test[order], config)
        return jax.vmap(one)(jnp.array([0.0, 1.0]))

    return over_seeds(of_seed, config, *map(jnp.asarray, data))


def _ghost(data: Any, config: Config) -> np.ndarray:
    def of_seed(
        key: jax.Array, train: jax.Array, test: jax.Array, attributes: jax.Array
    ) -> jax.Array:
        key, order = _order(key)
        of = lambda x: x[order]
        return arms.ghost(key, of(attributes), of(train), of(test), config)

    return over_seeds(of_seed, config, *map(jnp.asarray, (*data, ATTRIBUTES)))


def _order(key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """A key for the run, and the order of the classes, the same for all arms."""
    own, order = jax.random.split(key)
    return own, jax.random.permutation(order, CLASSES)


def after_tasks(accuracy: np.ndarray) -> np.ndarray:
    """Mean accuracy over the classes that have been seen after each task.

    Args:
      accuracy: ``(seeds, tasks, classes)``.

    Returns:
      ``(seeds, tasks)``.
    """
    tasks = range(accuracy.shape[1])
    means = [accuracy[:, t, : NEW * (t + 1)].mean(axis=1) for t in tasks]
    return np.stack(means, axis=1)
