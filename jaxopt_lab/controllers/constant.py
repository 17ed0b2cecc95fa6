"""The controller that leaves a setting as it is."""

from __future__ import annotations

import math
from typing import Annotated

from jaxopt_lab.controllers.controller import Controller, Decision, State, Statistics
from jaxopt_lab.core.options import COUNT, check_arguments


def constant(
    *, micro_batch: Annotated[int, COUNT] = 1, start_batch: Annotated[int, COUNT] = 8
) -> Controller:
    """Always the same number of accumulation steps.

    Args:
      micro_batch: examples of one accumulation step.
      start_batch: examples of a batch, rounded up to whole micro-batches.

    Returns:
      A controller whose decision is ``{"accumulation": a}`` whatever the statistics.

    Raises:
      InputError: an argument is no whole number of at least 1.

    >>> constant(micro_batch=4).decide({}, {})
    ({'accumulation': 2}, {})
    """
    check_arguments(constant, locals())
    decision = {"accumulation": math.ceil(start_batch / micro_batch)}

    def decide(stats: Statistics, state: State) -> tuple[Decision, State]:
        del stats
        return dict(decision), dict(state)

    return Controller(dict, decide)
