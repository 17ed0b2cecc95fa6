"""Equal budgets: the number of steps that a method may take."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args

import jax

from jaxopt_lab.core import errors
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import runs, throughput
from jaxopt_lab.lab.configuration import Configuration

Unit = Literal["steps", "gradients", "examples", "seconds"]
_UNITS: dict[str, Unit] = {unit: unit for unit in get_args(Unit)}


class Budget(NamedTuple):
    """An amount that every method may spend.

    Attributes:
      unit: of the amount: gradients are evaluations for a whole batch; seconds are
        those of stepping, of all seeds together.
      amount: how much of it.
    """

    unit: Unit
    amount: float

    def __str__(self) -> str:
        return f"{self.unit}:{self.amount:g}"

    @property
    def text(self) -> str:
        """The budget in words."""
        return f"{self.amount:,g} {self.unit}"


def parse(text: str) -> Budget:
    """The budget of a text.

    Args:
      text: ``unit:amount``.

    Returns:
      The budget.

    Raises:
      InputError: the unit is unknown, or the amount is no number above 0.

    >>> parse("gradients:4000")
    Budget(unit='gradients', amount=4000.0)
    """
    unit, colon, number = text.partition(":")
    if not colon:
        raise InputError(
            f"budget={text}; accepted: UNIT:AMOUNT with {', '.join(_UNITS)}"
        )
    if unit not in _UNITS:
        raise errors.unknown("unit of a budget", unit, _UNITS)
    try:
        amount = float(number)
    except ValueError:
        amount = math.nan
    whole = unit == "seconds" or amount == math.floor(amount or 0)
    if not (0 < amount < math.inf and whole):
        kind = "number" if unit == "seconds" else "whole number"
        raise InputError(f"budget={text}; accepted: a {kind} above 0 after {unit}:")
    return Budget(_UNITS[unit], amount)


def per_step(budget: Budget, configuration: Configuration) -> float:
    """The part of a budget that a step spends, of any unit but seconds.

    Args:
      budget: the budget.
      configuration: of the run.

    Returns:
      The amount; of gradients an average, where some steps take more than others.
    """
    if budget.unit == "steps":
        return 1.0
    return throughput.counts(configuration)[budget.unit]


def of_steps(
    budget: Budget, configurations: Mapping[str, Configuration]
) -> dict[str, float]:
    """The part of a budget that a step of each run spends.

    Args:
      budget: the budget.
      configurations: of the runs, by label.

    Returns:
      Amounts by label; empty for seconds, which are measured.

    Raises:
      InputError: the budget is less than a step of a run.
    """
    if budget.unit == "seconds":
        return {}
    for name, one in configurations.items():
        if one.run.controller != "none" and budget.unit != "examples":
            raise InputError(
                f"{name}: controller={one.run.controller} changes the batch, so that "
                f"equal {budget.unit} are not equal work; accepted: budget=examples:N"
            )
    found = {name: per_step(budget, c) for name, c in configurations.items()}
    for name, each in found.items():
        steps(budget, each, name)
    return found


def steps(budget: Budget, each: float, label: str) -> int:
    """The number of steps that fit into a budget.

    Args:
      budget: the budget.
      each: spent by a step.
      label: the run's name in the comparison.

    Returns:
      The number, at least 1.

    Raises:
      InputError: it is less than one step.

    >>> steps(Budget("gradients", 7.0), 2.0, "sam")
    3
    """
    # A budget of n averages of 1.1 holds n steps, whatever the rounding.
    found = math.floor(budget.amount / each * (1 + 1e-12))
    if found < 1:
        unit = budget.unit.removesuffix("s")
        raise InputError(
            f"budget={budget} is less than a step of {label}, which takes {each:.4g} "
            f"{unit if each == 1 else budget.unit}"
        )
    return found


def check_spent(
    budget: Budget,
    record: Mapping[str, Any],
    each: float,
    label: str,
    over: float = 0.0,
) -> None:
    """Assert that a run has spent its budget, to within one step.

    Args:
      budget: the budget; one of seconds is not checked.
      record: of the last test, with the counts of the run.
      each: spent by a step.
      label: the run's name in the comparison.
      over: what it may spend more, the largest batch of a controller.

    Raises:
      AssertionError: the record has counted something else.
    """
    if budget.unit == "seconds":
        return
    spent = record["step"] if budget.unit == "steps" else record[budget.unit]
    left = budget.amount - spent
    if not -1e-6 * budget.amount - over <= left < each:
        raise AssertionError(
            f"{label} has spent {spent:g} {budget.unit} of {budget.amount:g}"
        )


def seconds_a_step(configuration: Configuration, measured: float = 1.0) -> float:
    """The time of a step of all seeds on this machine, compilation apart.

    Args:
      configuration: of the run.
      measured: seconds of stepping that are measured.

    Returns:
      Seconds.
    """
    program = runs.assemble(configuration)
    step = jax.jit(program.step, donate_argnums=0)
    state = program.state
    for _ in range(3):  # the first compiles, the others fill caches
        state, _ = jax.block_until_ready(step(state, program.batches.next()))
    count, began = 0, time.perf_counter()
    while count < 5 or time.perf_counter() - began < measured:
        state, _ = jax.block_until_ready(step(state, program.batches.next()))
        count += 1
    return (time.perf_counter() - began) / count
