"""The contract of a controller: a decision on the host from measured statistics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Statistics = Mapping[str, Any]
State = dict[str, Any]
Decision = dict[str, Any]


class Controller(NamedTuple):
    """A rule that changes a setting of training between two steps.

    Attributes:
      init: ``init() -> state``, plain numbers, strings, lists and dicts (JSON).
      decide: ``decide(stats, state) -> (decision, state)``, a function of its
        arguments alone. ``stats`` are scalars by name; the decision is plain numbers
        by name, which a step takes as traced scalars: its shapes never change.
    """

    init: Callable[[], State]
    decide: Callable[[Statistics, State], tuple[Decision, State]]
