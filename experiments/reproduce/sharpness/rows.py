"""The methods that are compared, and the settings that each may choose from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import jax
import optax

from experiments.reproduce.sharpness.config import Config
from jaxopt_lab import catalog
from jaxopt_lab.errors import InputError


class Setting(NamedTuple):
    """What is tuned; numbers, or arrays with one entry for each setting."""

    rate: Any
    decay: Any
    rho: Any


@dataclasses.dataclass(frozen=True)
class Row:
    """A method with its fixed options.

    Attributes:
      name: what it is called.
      method: row of the catalog; empty for SGD itself.
      options: its options besides the radius.
      radii: the radii to choose from.
      tunes: what its settings differ in.
      base_updates: updates of the base optimizer in one step.
      rate_scale: factor on the step size. Lookbehind goes
        ``alpha * base_updates * rate`` in a step; the factor makes that one rate.
      lengthened: factor on the number of steps.
    """

    name: str
    method: str = ""
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    radii: tuple[float, ...] = ()
    tunes: Literal["radius", "rate", "decay"] = "radius"
    base_updates: int = 1
    rate_scale: float = 1.0
    lengthened: int = 1

    @property
    def gradients(self) -> float:
        """Gradient evaluations of the whole training, in those of plain SGD."""
        if not self.method:
            return float(self.lengthened)
        return catalog.get(self.method).gradients_per_step(**self.options)


def _lookbehind(k: int, radii: tuple[float, ...], adaptive: bool) -> Row:
    alpha = 0.5
    kind = "adaptive" if adaptive else "static"
    return Row(
        f"lookbehind k={k} {kind}",
        "lookbehind",
        {"k": k, "adaptive": adaptive, "alpha": alpha},
        radii,
        base_updates=k,
        # The adaptive alpha is not known beforehand; it lies between 1/2 and 1.
        rate_scale=1 / k if adaptive else 1 / (alpha * k),
    )


_RADII = (0.05, 0.1, 0.2, 0.5)
_SMALL = (0.025, 0.05, 0.1, 0.2)
_ADAPTIVE = (0.25, 0.5, 1.0, 2.0)

ROWS = (
    Row("sgd", tunes="rate"),
    Row("sgd, decay tuned", tunes="decay"),
    Row("sgd, equal gradients", tunes="rate", lengthened=2),
    Row("sam", "sam", radii=(0.1, 0.2, 0.5, 1.0)),
    Row("asam", "asam", radii=_ADAPTIVE),
    Row("samson", "samson", radii=_ADAPTIVE),
    Row("msam m=4", "msam", {"num_shards": 4, "mode": "vmap"}, _RADII),
    Row("msam m=16", "msam", {"num_shards": 16, "mode": "vmap"}, _RADII),
    Row("multistep", "multistep_sam", {"num_ascent": 2}, _RADII),
    _lookbehind(2, _RADII, adaptive=False),
    _lookbehind(2, _RADII, adaptive=True),
    _lookbehind(5, _SMALL, adaptive=False),
    _lookbehind(5, _SMALL, adaptive=True),
    Row("gsam", "gsam", radii=_RADII),
)


def settings(row: Row, config: Config) -> list[Setting]:
    """The settings of a row, those of one decay in a row.

    Args:
      row: the method.
      config: the size of the experiment.

    Returns:
      As many settings for every row.

    Raises:
      InputError: the row would have more or fewer settings than ``config`` has rates.
    """
    grids = {
        "radius": [
            Setting(config.learning_rate, decay, rho)
            for decay in config.radius_decays
            for rho in row.radii
        ],
        "rate": [Setting(rate, 0.0, 0.0) for rate in config.rates],
        "decay": [
            Setting(rate, decay, 0.0)
            for rate in config.decay_rates
            for decay in config.decays
        ],
    }
    grid = grids[row.tunes]
    if len(grid) != len(config.rates):
        raise InputError(
            f"{row.name} has {len(grid)} settings to choose from; accepted: "
            f"{len(config.rates)}, the tuning budget of all rows"
        )
    return grid


def optimizer(
    row: Row, setting: Setting, config: Config
) -> optax.GradientTransformation:
    """The optimizer of a row at one setting.

    Args:
      row: the method.
      setting: numbers or traced scalars.
      config: gives the momentum and the length of the cosine.

    Returns:
      The transformation.
    """
    total = config.steps * row.lengthened * row.base_updates
    rate: jax.Array = setting.rate * row.rate_scale
    # optax asks for a float, and takes a traced scalar.
    schedule = optax.cosine_decay_schedule(rate, total)  # type: ignore[arg-type]
    base = optax.chain(
        optax.add_decayed_weights(setting.decay),
        optax.sgd(schedule, momentum=config.momentum),
    )
    if not row.method:
        return base
    method = catalog.get(row.method)
    if method.kind == "wrapper":
        return method.wrap(base, rho=setting.rho, **row.options)
    return optax.chain(method.build(rho=setting.rho, **row.options), base)
