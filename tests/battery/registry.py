"""The checks by name, and to which rows each of them applies."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from battery.subject import Subject
from jaxopt_lab.catalog import Method


@dataclasses.dataclass(frozen=True)
class Check:
    """One check: raises what it finds wrong with a subject.

    Attributes:
      run: the check itself.
      applies: which rows it is about.
    """

    run: Callable[[Subject], Any]
    applies: Callable[[Method], bool]


CHECKS: dict[str, Check] = {}


def check(
    applies: Callable[[Method], bool] = lambda row: True,
) -> Callable[[Callable[[Subject], Any]], Callable[[Subject], Any]]:
    """Register a check under the name of its function."""

    def register(run: Callable[[Subject], Any]) -> Callable[[Subject], Any]:
        if run.__name__ in CHECKS:
            raise ValueError(f"two checks are called {run.__name__}")
        CHECKS[run.__name__] = Check(run, applies)
        return run

    return register


def failures(subject: Subject) -> dict[str, str]:
    """What every check that applies says of a subject; empty where all pass."""
    found = {}
    for name, one in CHECKS.items():
        if one.applies(subject.row):
            try:
                one.run(subject)
            except Exception as error:
                found[name] = f"{type(error).__name__}: {error}"
    return found
