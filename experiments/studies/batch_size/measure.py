"""Steps and test accuracy of growing, fixed, large and ghost batches."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.harness.store import Store
from experiments.studies import programs
from experiments.studies.batch_size import ghosts, growth, runs
from experiments.studies.batch_size.config import Config
from experiments.studies.fashion import fashion_mnist, pooled
from experiments.studies.programs import Labelled


class Measured(NamedTuple):
    """Everything that is measured, by arm.

    Attributes:
      accuracy: of growing and fixed batches on the test set, ``(seeds, rates)``.
      steps: of the optimizer, likewise.
      last: examples of the last batch, likewise.
      ghosts: test accuracy of small, large and ghost batches, ``(seeds,)``.
    """

    accuracy: dict[str, np.ndarray]
    steps: dict[str, np.ndarray]
    last: dict[str, np.ndarray]
    ghosts: dict[str, np.ndarray]


def prepare(config: Config, fashion: str = "") -> tuple[Config, dict[str, Any]]:
    """The settings with the option of the command.

    Args:
      config: the size of the study.
      fashion: folder of Fashion-MNIST; empty: digits.

    Returns:
      The settings, and the arguments of ``measure``.
    """
    if not fashion:
        return config, {}
    folder = Path(fashion).expanduser()
    return dataclasses.replace(config, data="fashion"), {"fashion": folder}


def measure(config: Config, store: Store, fashion: Path | None = None) -> Measured:
    """Train with every batch; see ``Experiment.measure``.

    Args:
      fashion: folder of Fashion-MNIST; ``None``: digits.
    """
    train, test = programs.digits() if fashion is None else _fashion(fashion)
    train = jax.tree.map(lambda x: x[: config.examples], train)
    rows = store.group("growth")
    step, grown = growth.make_step(config), {}
    for arm, controller in growth.controllers(config).items():
        take = lambda control=controller: runs.runs(
            step, control, (train, test), config
        )
        grown[arm] = rows.measured(arm, take)
    rows, closed = store.group("ghosts"), {}
    for arm in ghosts.ARMS:
        run = lambda key, *data, arm=arm: {
            "accuracy": ghosts.run(key, data, arm, config)
        }
        take = lambda run=run: programs.over_seeds(run, config, train, test, loop=True)
        closed[arm] = rows.measured(arm, take)["accuracy"]
    of = lambda name: {arm: row[name] for arm, row in grown.items()}
    return Measured(of("accuracy"), of("steps"), of("last"), closed)


def _fashion(folder: Path) -> tuple[Labelled, Labelled]:
    data = fashion_mnist(folder)

    def part(part: Any, count: int) -> Labelled:
        images = pooled(jnp.asarray(part["image"][:count]))
        labels = jnp.asarray(part["label"][:count], jnp.int32)
        return Labelled(images.reshape(count, -1), labels)

    return part(data.train, 8192), part(data.test, 2000)
