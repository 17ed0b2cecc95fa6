"""The optimizers whose minima are compared."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import optax

import jaxopt_lab
from experiments.studies.landscapes.config import Config
from jaxopt_lab.core import loops

Schedule = Callable[[Any], Any]


class Setting(NamedTuple):
    """Tuned options; numbers, or arrays with one entry for each setting."""

    rate: Any
    rho: Any


@dataclasses.dataclass(frozen=True)
class Row:
    """An optimizer and the settings that it may choose from.

    Attributes:
      name: in tables.
      settings: as many for every row.
      build: ``build(schedule, rho, mode) -> transformation``; ``mode`` is how loops
        inside it run.
    """

    name: str
    settings: tuple[Setting, ...]
    build: Callable[[Schedule, Any, loops.Mode], optax.GradientTransformation]

    def optimizer(
        self, setting: Setting, config: Config, mode: loops.Mode
    ) -> optax.GradientTransformation:
        """The transformation at one setting, under a cosine of the step size.

        Args:
          setting: numbers or traced scalars.
          config: gives the number of steps.
          mode: how loops inside it run.

        Returns:
          The transformation.
        """
        schedule = optax.cosine_decay_schedule(setting.rate, config.steps)
        return self.build(schedule, setting.rho, mode)


def rows(config: Config) -> list[Row]:
    """The optimizers.

    Args:
      config: gives the settings.

    Returns:
      SGD, SAM, mSAM, Adam, and Adam with critical momenta.
    """

    def sgd(schedule: Schedule) -> optax.GradientTransformation:
        return optax.sgd(schedule, momentum=config.momentum)

    def sam(schedule: Schedule, rho: Any, _: loops.Mode) -> Any:
        return optax.chain(jaxopt_lab.sam(rho), sgd(schedule))

    def msam(schedule: Schedule, rho: Any, mode: loops.Mode) -> Any:
        link = jaxopt_lab.msam(rho, num_shards=config.num_shards, mode=mode)
        return optax.chain(link, sgd(schedule))

    def adam_cm(schedule: Schedule, *_: Any) -> optax.GradientTransformation:
        return jaxopt_lab.adam_cm(schedule, capacity=config.memories)

    def radii(values: tuple[float, ...]) -> tuple[Setting, ...]:
        return tuple(Setting(config.learning_rate, rho) for rho in values)

    adam_rates = tuple(Setting(rate, 0.0) for rate in config.adam_rates)
    return [
        Row("SGD", tuple(Setting(r, 0.0) for r in config.rates), lambda s, *_: sgd(s)),
        Row("SAM", radii(config.radii), sam),
        Row("mSAM", radii(config.shard_radii), msam),
        Row("Adam", adam_rates, lambda s, *_: optax.adam(s)),
        Row("Adam+CM", adam_rates, adam_cm),
    ]
