"""The methods that are compared, and the settings that each may choose from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from experiments.studies.sharpness.config import Config, Panel
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import methods


class Setting(NamedTuple):
    """Tuned options; numbers, or arrays with one entry for each setting.

    Attributes:
      rate: step size at the first step.
      decay: weight decay.
      rho: radius.
      stop: part of the steps after which the step size is 0.
    """

    rate: Any
    decay: Any
    rho: Any
    stop: Any = 1.0


@dataclasses.dataclass(frozen=True)
class Row:
    """A method with its fixed options.

    Attributes:
      name: in tables.
      method: row of the catalog; empty for SGD itself.
      options: its options besides the radius.
      radii: four radii to choose from.
      tunes: the option in which its settings differ.
      base_updates: updates of the base optimizer in one step.
      rate_scale: factor on the step size. Lookbehind goes
        ``alpha * base_updates * rate`` in a step; the factor makes that one rate.
      lengthened: factor on the number of steps.
    """

    name: str
    method: str = ""
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    radii: tuple[float, ...] = ()
    tunes: Literal["radius", "rate", "decay", "stop"] = "radius"
    base_updates: int = 1
    rate_scale: float = 1.0
    lengthened: int = 1

    @property
    def gradients(self) -> float:
        """Gradient evaluations of the whole training, in those of plain SGD."""
        if not self.method:
            return float(self.lengthened)
        return methods.get(self.method).gradients_per_step(**self.options)


def _lookbehind(k: int, radii: tuple[float, ...], kind: str, alpha: float = 0.5) -> Row:
    adaptive = kind == "adaptive"
    return Row(
        f"lookbehind k={k} {kind}",
        "lookbehind",
        {"k": k, "adaptive": adaptive, "alpha": alpha},
        radii,
        base_updates=k,
        # The adaptive alpha, between 1/2 and 1, is not known beforehand.
        rate_scale=1 / k if adaptive else 1 / (alpha * k),
    )


_RADII = (0.05, 0.1, 0.2, 0.5)
_SMALL = (0.025, 0.05, 0.1, 0.2)
_ADAPTIVE = (0.25, 0.5, 1.0, 2.0)

ROWS = (
    Row("sgd", tunes="rate"),
    Row("sgd, decay tuned", tunes="decay"),
    Row("sgd, early stopping", tunes="stop"),
    Row("sgd, equal gradients", tunes="rate", lengthened=2),
    Row("sam", "sam", radii=_RADII),
    Row("asam", "asam", radii=_ADAPTIVE),
    Row("samson", "samson", radii=_ADAPTIVE),
    Row("msam m=4", "msam", {"num_shards": 4, "mode": "vmap"}, _RADII),
    Row("msam m=16", "msam", {"num_shards": 16, "mode": "vmap"}, _RADII),
    Row("multistep", "multistep_sam", {"num_ascent": 2}, _RADII),
    _lookbehind(2, _RADII, "static"),
    # The product of step size and alpha is that of the row above.
    _lookbehind(2, _RADII, "alpha=0.2", alpha=0.2),
    _lookbehind(2, _RADII, "adaptive"),
    _lookbehind(5, _SMALL, "static"),
    _lookbehind(5, _SMALL, "adaptive"),
    Row("gsam", "gsam", radii=_RADII),
)


def of(panel: Panel) -> list[Row]:
    """The rows that are run in a panel.

    Args:
      panel: names those that are not.

    Returns:
      The rows, in the order of the table.
    """
    return [row for row in ROWS if row.name not in panel.without]


def settings(row: Row, panel: Panel) -> list[Setting]:
    """The settings of a row, those of one decay in a row.

    Args:
      row: the method.
      panel: where it is trained.

    Returns:
      As many settings for every row.

    Raises:
      InputError: the row would have more or fewer settings than ``panel`` has rates.
    """
    grids = {
        "radius": [
            Setting(panel.learning_rate, decay, row.radii[i])
            for decay in panel.radius_decays
            for i in panel.radii
            if i < len(row.radii)
        ],
        "rate": [Setting(rate, 0.0, 0.0) for rate in panel.rates],
        "decay": [
            Setting(rate, decay, 0.0)
            for rate in panel.decay_rates
            for decay in panel.decays
        ],
        "stop": [
            Setting(rate, 0.0, 0.0, stop)
            for rate in panel.stop_rates
            for stop in panel.stops
        ],
    }
    grid = grids[row.tunes]
    if len(grid) != len(panel.rates):
        raise InputError(
            f"{row.name} has {len(grid)} settings to choose from in {panel.name}; "
            f"accepted: {len(panel.rates)}, the tuning budget of all rows"
        )
    return grid


def optimizer(
    row: Row, setting: Setting, panel: Panel, config: Config
) -> optax.GradientTransformation:
    """The optimizer of a row at one setting.

    Args:
      row: the method.
      setting: numbers or traced scalars.
      panel: gives the length of the cosine.
      config: gives the momentum.

    Returns:
      The transformation.
    """
    total = setting.stop * (panel.steps * row.lengthened * row.base_updates)

    def schedule(count: Any) -> jax.Array:
        # optax's own cosine takes no traced length.
        part = jnp.minimum(count / jnp.asarray(total, jnp.float32), 1.0)
        return setting.rate * row.rate_scale * 0.5 * (1 + jnp.cos(jnp.pi * part))

    base = optax.chain(
        optax.add_decayed_weights(setting.decay),
        optax.sgd(schedule, momentum=config.momentum),
    )
    if not row.method:
        return base
    options = {**row.options, "rho": setting.rho}
    if "mode" in options and panel.task == "fashion":
        # XLA:CPU runs convolutions with a kernel for each shard slowly.
        options["mode"] = "unroll"
    return methods.compose(methods.get(row.method), options, base)
