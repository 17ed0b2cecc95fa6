"""The entries of the records of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.training.state import TrainState

Hook = Callable[[int, TrainState], Mapping[str, Any]]


def with_hooks(
    tested: Mapping[str, Any], hooks: Sequence[Hook], done: int, state: TrainState
) -> dict[str, Any]:
    """The record of a test with the results of the hooks.

    Args:
      tested: results of the evaluator.
      hooks: as in ``fit``.
      done: number of steps taken.
      state: at this step.

    Returns:
      The record.

    Raises:
      InputError: a hook returns a name that is taken.
    """
    record = dict(tested)
    for hook in hooks:
        for name, value in hook(done, state).items():
            if name in record or name in ("kind", "step", "time"):
                raise InputError(f"a hook gave {name!r}, which the record has already")
            record[name] = value
    return record


def scalars(values: Mapping[str, Any]) -> dict[str, Any]:
    """Hyper-parameters for the log: one number where all seeds agree.

    Args:
      values: numbers or arrays over the seeds, by name.

    Returns:
      Likewise.
    """
    out = {}
    for name, value in values.items():
        array = np.asarray(value)
        same = array.size > 0 and bool(np.all(array == array.flat[0]))
        out[name] = array.flat[0] if same else array
    return out
