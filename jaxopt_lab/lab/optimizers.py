"""The optimizer of a run, from its configuration."""

from __future__ import annotations

from typing import Any

import optax

from jaxopt_lab.lab import decay, methods
from jaxopt_lab.lab.configuration import Configuration
from jaxopt_lab.lab.run_options import RunOptions


def learning_rate(run: RunOptions, peak: float) -> optax.Schedule:
    """The step size as a function of the number of updates.

    Args:
      run: how it rises and falls; ``warmup`` is a part of ``steps``.
      peak: its largest value.

    Returns:
      The schedule; it reaches 0 after the last step, unless it is constant.
    """
    rising = round(run.warmup * run.steps)
    falling = max(run.steps - rising, 1)
    after = {
        "cosine": optax.cosine_decay_schedule(peak, falling),
        "linear": optax.linear_schedule(peak, 0.0, falling),
        "constant": optax.constant_schedule(peak),
    }[run.schedule]
    if rising == 0:
        return after
    return optax.join_schedules(
        [optax.linear_schedule(0.0, peak, rising), after], [rising]
    )


def build(configuration: Configuration) -> optax.GradientTransformationExtraArgs:
    """The method of a run, with its base, hyper-parameters in the state for the log.

    Args:
      configuration: the run.

    Returns:
      The optimizer alone; a link chained before its base; or a wrapper around it.
      Weight decay and clipping are beside the optimizer: what a link gives is clipped.
    """
    run, rows = configuration.run, configuration.rows

    def scheduled(options: dict[str, Any]) -> dict[str, Any]:
        if "learning_rate" not in options:
            return options
        peak = options["learning_rate"]
        return {**options, "learning_rate": learning_rate(run, peak)}

    strength = configuration.weight_decay
    options = scheduled(configuration.method)
    if rows.base is None:
        return decay.around(rows.method, options, run, strength)
    base = decay.around(rows.base, scheduled(configuration.base), run, strength)
    return methods.compose(rows.method, options, base, logged=True)
