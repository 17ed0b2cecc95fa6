"""The batch that grows to the size that a test asks for."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from jaxopt_lab.controllers.controller import Controller, Decision, State, Statistics
from jaxopt_lab.core.checks import as_number
from jaxopt_lab.core.errors import InputError


def growing_batch(
    wanted: Callable[[Statistics], float],
    *,
    micro_batch: int,
    start_batch: int,
    max_batch: int,
    interval: int,
) -> Controller:
    r"""A batch of whole micro-batches that never shrinks.

    .. math:: b_{t+1} = \lceil \min(b_{\max}, \max(b_t, b')) \rceil

    Args:
      wanted: examples that a test asks for, from the statistics of a step; infinity
        asks for all.
      micro_batch: examples of one accumulation step, all devices together.
      start_batch: examples of the first batch; at least one micro-batch.
      max_batch: examples that no batch exceeds, at least ``start_batch``.
      interval: steps between two tests.

    Returns:
      A controller; the decision is ``{"accumulation": a}``, its state counts ``step``,
      ``accumulation`` and ``examples``.

    Raises:
      InputError: the sizes are not in this order.

    >>> control = growing_batch(lambda stats: stats["b"], micro_batch=2, start_batch=4,
    ...                         max_batch=64, interval=1)
    >>> control.decide({"b": 9.0}, control.init())[0]
    {'accumulation': 5}
    """
    check_sizes(micro_batch, start_batch, max_batch)
    most = max_batch // micro_batch

    def init() -> State:
        first = min(most, math.ceil(start_batch / micro_batch))
        return {"step": 0, "accumulation": first, "examples": 0}

    def decide(stats: Statistics, state: State) -> tuple[Decision, State]:
        accumulation = state["accumulation"]
        batch = accumulation * micro_batch
        asked = wanted(stats)  # a missing statistic is an error in every step
        if state["step"] % interval == 0 and accumulation < most:
            size = min(max_batch, max(batch, asked))
            accumulation = min(most, math.ceil(math.ceil(size) / micro_batch))
        after = {
            "step": state["step"] + 1,
            "accumulation": accumulation,
            "examples": state["examples"] + batch,
        }
        return {"accumulation": accumulation}, after

    return Controller(init, decide)


def check_sizes(micro_batch: int, start_batch: int, max_batch: int) -> None:
    """Refuse sizes of batches that are not in their order.

    Args:
      micro_batch: examples of one accumulation step.
      start_batch: examples of the first batch.
      max_batch: examples that no batch exceeds.

    Raises:
      InputError: one is larger than the next.
    """
    if not micro_batch <= start_batch <= max_batch:
        raise InputError(
            "micro_batch <= start_batch <= max_batch must hold; got "
            f"{micro_batch}, {start_batch}, {max_batch}"
        )


def statistic(controller: str, stats: Mapping[str, Any], name: str) -> float:
    """A statistic as a number of Python.

    Args:
      controller: name of the one that reads it, for the message.
      stats: the statistics.
      name: its name.

    Returns:
      The number.

    Raises:
      InputError: it is missing, or no number.

    >>> statistic("rule", {"variance": 2}, "variance")
    2.0
    """
    if name not in stats:
        raise InputError(f"{controller} reads stats[{name!r}]; got {', '.join(stats)}")
    return as_number(f"stats[{name!r}]", stats[name])


def examples_for(variance: float, bound: float) -> float:
    """Examples over which a variance falls to a bound.

    Args:
      variance: of a single example.
      bound: accepted variance of the mean, not negative; infinity accepts all.

    Returns:
      Their quotient; 0 where the statistics say nothing (a variance that is 0 or NaN, a
      bound that is NaN), infinity for a bound of 0 beside a variance.

    >>> examples_for(12.0, 0.5), examples_for(0.0, 0.0), examples_for(1.0, 0.0)
    (24.0, 0.0, inf)
    """
    if not variance > 0 or math.isnan(bound):
        return 0.0
    if bound <= 0:
        return math.inf
    wanted = variance / bound
    return 0.0 if math.isnan(wanted) else wanted
