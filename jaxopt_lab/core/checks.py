"""Hyper-parameters: their value at a step, and the refusal of impossible ones."""

from __future__ import annotations

from typing import Any

import jax

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import Scalar, ScalarOrSchedule


def value_at(value: ScalarOrSchedule, count: jax.Array) -> Scalar:
    """A hyper-parameter at a step.

    Args:
      value: a number, a traced scalar, or a schedule.
      count: number of updates so far.

    Returns:
      The number, or what the schedule gives.
    """
    return value(count) if callable(value) else value


def check_non_negative(name: str, value: Any) -> None:
    """Refuse a Python number below zero; schedules and traced values pass.

    Args:
      name: name of the argument, for the message.
      value: what was given.

    Raises:
      InputError: it is negative or NaN.
    """
    if isinstance(value, int | float) and not value >= 0:
        raise InputError(f"{name} must be at least 0; got {value}")


def check_unit(name: str, value: Any) -> None:
    """Refuse a Python number outside of [0, 1]; schedules and traced values pass.

    Args:
      name: name of the argument, for the message.
      value: what was given.

    Raises:
      InputError: it is out of range or NaN.
    """
    if isinstance(value, int | float) and not 0 <= value <= 1:
        raise InputError(f"{name} must lie in [0, 1]; got {value}")


def check_positive_count(name: str, value: Any) -> None:
    """Refuse anything but a whole number of at least 1.

    Args:
      name: name of the argument, for the message.
      value: what was given.

    Raises:
      InputError: it is no ``int``, or less than 1.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InputError(f"{name} must be a whole number of at least 1; got {value!r}")
