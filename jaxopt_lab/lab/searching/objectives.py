"""Scores of trained runs, all of them to be large."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxopt_lab.core.errors import InputError, unknown


def _last(run: Any, name: str) -> float:
    table = run.table()
    values = np.ravel(np.asarray(table[name], float)[-1])
    value = float(values.mean())
    return value if math.isfinite(value) else math.nan


def _parameters(run: Any) -> int:
    leaves = jax.tree.leaves(run.params)
    return sum(leaf.size for leaf in leaves) // max(run.seeds, 1)


OBJECTIVES: dict[str, Callable[[Any], float]] = {
    "accuracy": lambda run: _last(run, "val_accuracy"),
    "loss": lambda run: -_last(run, "val_loss"),
    "parameters": lambda run: -float(_parameters(run)),
}
"""By name: validation accuracy, minus the validation loss, minus the number of
parameters, each the mean over seeds at the last step."""


def measured(name: str, score: float) -> float:
    """The quantity behind a score, as users read it.

    Args:
      name: of the objective.
      score: larger is better.

    Returns:
      The loss or the number of parameters, which are better if smaller.

    >>> measured("parameters", -90.0), measured("accuracy", 0.5)
    (90.0, 0.5)
    """
    return score if name == "accuracy" else -score


def read_objectives(text: str) -> tuple[str, ...]:
    """Names of objectives.

    Args:
      text: with commas.

    Returns:
      The names, the first one decides.

    Raises:
      InputError: one is unknown or comes twice, or there is none.

    >>> read_objectives("accuracy,parameters")
    ('accuracy', 'parameters')
    """
    names = tuple(name for name in text.split(",") if name)
    for name in names:
        if name not in OBJECTIVES:
            raise unknown("objective", name, OBJECTIVES)
    if not names or len(set(names)) < len(names):
        raise InputError(f"objectives={text} must name different ones, at least one")
    return names


def scores_of(run: Any, names: tuple[str, ...]) -> list[float]:
    """The scores of a run.

    Args:
      run: a trained run.
      names: of objectives.

    Returns:
      One number for each; NaN where the run diverged.
    """
    scores = [OBJECTIVES[name](run) for name in names]
    return [math.nan] * len(scores) if any(map(math.isnan, scores)) else scores
