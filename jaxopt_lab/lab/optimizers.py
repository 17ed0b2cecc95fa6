"""The optimizer of a run, from its configuration."""

from __future__ import annotations

from typing import Any

import optax

from jaxopt_lab.lab import decay, freezing, methods
from jaxopt_lab.lab.configuration import Configuration
from jaxopt_lab.lab.quant_recipe import quant_recipe
from jaxopt_lab.lab.run_options import RunOptions
from jaxopt_lab.lab.schedules import learning_rate

__all__ = ["build", "learning_rate"]


def build(
    configuration: Configuration, schedule: optax.Schedule | None = None
) -> optax.GradientTransformationExtraArgs:
    """The method of a run, with its base, hyper-parameters in the state for the log.

    Args:
      configuration: the run.
      schedule: the learning rate by number of updates, instead of the run's own.

    Returns:
      The optimizer alone; a link chained before its base; or a wrapper around it.
      Weight decay and clipping are beside the optimizer: what a link gives is clipped.
    """
    run, rows = configuration.run, configuration.rows
    tx = innermost(configuration, schedule)
    if rows.base is not None:
        options = _scheduled(run, configuration.method, schedule)
        tx = methods.compose(rows.method, options, tx, logged=True)
    return freezing.frozen(run, tx) if run.freeze else tx


def innermost(
    configuration: Configuration, schedule: optax.Schedule | None = None
) -> optax.GradientTransformationExtraArgs:
    """The base of a run, or the method that is an optimizer, with decay and clipping.

    Args:
      configuration: the run.
      schedule: as in ``build``.

    Returns:
      The optimizer.
    """
    run, rows = configuration.run, configuration.rows
    if rows.base is None:
        row, options = rows.method, configuration.method
    else:
        row, options = rows.base, configuration.base
    options = _scheduled(run, options, schedule)
    tx = decay.around(row, options, run, configuration.weight_decay)
    return quant_recipe(run.quantize).transformation(tx) if run.quantize else tx


def _scheduled(
    run: RunOptions, options: dict[str, Any], schedule: optax.Schedule | None
) -> dict[str, Any]:
    if "learning_rate" not in options:
        return options
    if schedule is None and run.controller != "none":
        return options  # a number in the state, which the controller sets
    if schedule is None:
        schedule = learning_rate(run, options["learning_rate"])
    return {**options, "learning_rate": schedule}
