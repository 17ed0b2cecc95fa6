"""Checks of a training step before it is run."""

from __future__ import annotations

from typing import Any

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.trees import differences, summary
from jaxopt_lab.training.state import TrainState


def check_step(out: Any, state: TrainState, on_nonfinite: str) -> None:
    """Refuse a step that does not fit the state, or has no loss.

    Args:
      out: shapes of what the step gives.
      state: what it takes.
      on_nonfinite: ``"stop"`` or ``"skip"``.

    Raises:
      InputError: shapes or types change, or a metric is missing.
    """
    if not (isinstance(out, tuple) and len(out) == 2):
        raise InputError("the step must give (state, metrics)")
    if lines := differences(state, out[0]):
        raise InputError(
            f"the step must keep shapes and types of the state: {summary(lines)}"
        )
    if "loss" not in out[1]:
        raise InputError("the metrics of the step must have a 'loss'")
    if on_nonfinite == "skip" and "skipped" not in out[1]:
        raise InputError(
            "on_nonfinite='skip' needs make_train_step(..., skip_nonfinite=True)"
        )
