"""The optimizer of a run, from its configuration."""

from __future__ import annotations

from typing import Any

import optax

from jaxopt_lab.lab import decay, freezing, methods
from jaxopt_lab.lab.configuration import Configuration
from jaxopt_lab.lab.schedules import learning_rate

__all__ = ["build", "learning_rate"]


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
        tx = decay.around(rows.method, options, run, strength)
    else:
        base = decay.around(rows.base, scheduled(configuration.base), run, strength)
        tx = methods.compose(rows.method, options, base, logged=True)
    return freezing.frozen(run, tx) if run.freeze else tx
