"""Steps of hypernetworks of a contrast, and losses from predicted weights."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from experiments.harness.store import Store
from experiments.studies import programs
from experiments.studies.hypernetworks import contrasts, initial
from experiments.studies.hypernetworks.config import Config


class Measured(NamedTuple):
    """Everything that is measured.

    Attributes:
      steps: to the wanted loss, ``{arm: (cells, seeds)}``; cells are the rates of
        momentum, then those of Adam.
      spread: relative variance of the first predicted layer over contrasts, ``{arm:
        (seeds,)}``.
      untrained: accuracy of predicted weights, ``(unseen, seeds)``.
      losses: after some steps, ``{weights: (unseen, rates, seeds)}``.
    """

    steps: dict[str, np.ndarray]
    spread: dict[str, np.ndarray]
    untrained: np.ndarray
    losses: dict[str, np.ndarray]


def measure(config: Config, store: Store) -> Measured:
    """Train the hypernetworks of all arms, and LoGAH; see ``Experiment.measure``."""
    train, test = programs.digits()
    rows, steps, spread = store.group("runs"), {}, {}
    for arm in contrasts.ARMS:

        def take(arm: str = arm) -> dict[str, Any]:
            init = contrasts.net(config, arm).init
            run = lambda start, key, t: contrasts.run(config, arm, start, key, t)
            found = programs.over_starts(lambda k: init(k)[0], run, config, train)
            own = contrasts.steps_to(found.pop("losses"), config)
            return {**found, "steps": own}

        row = rows.measured(arm, take)
        steps[arm], spread[arm] = row["steps"].T, row["spread"]

    def logah() -> dict[str, Any]:
        init = initial.net(config).init
        run = lambda start, key, *d: initial.run(config, start, key, *d)
        return programs.over_starts(lambda k: init(k)[0], run, config, train, test)

    row = rows.measured("LoGAH", logah)
    last = {name: np.moveaxis(values, 0, -1) for name, values in row.items()}
    return Measured(steps, spread, last.pop("untrained"), last)
