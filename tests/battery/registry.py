"""The checks by kind of part and by name, and to which rows each of them applies."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, Literal

Tier = Literal["plain", "full"]


@dataclasses.dataclass(frozen=True)
class Check:
    """One check: raises what it finds wrong with a subject.

    Attributes:
      run: the check itself.
      applies: which rows it is about.
      tier: of a row; ``"full"``: only ``pytest --full`` runs it.
      sweep: it compiles programs of its own, beyond those that a row is allowed, and
        is plain for few rows.
    """

    run: Callable[[Any], Any]
    applies: Callable[[Any], bool]
    tier: Callable[[Any], Tier]
    sweep: bool = False


CHECKS: dict[str, dict[str, Check]] = {}
"""Check by name, by kind of part."""


def check(
    kind: str,
    applies: Callable[[Any], bool] = lambda row: True,
    *,
    tier: Tier | Callable[[Any], Tier] = "plain",
    sweep: bool = False,
) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
    """Register a check of one kind of part under the name of its function.

    Args:
      kind: kind of part: ``"transform"``, ``"layer"``, ...
      applies: which rows it is about.
      tier: its tier, or a function of a row that gives it.
      sweep: whether its programs do not count among those of a row.
    """

    def register(run: Callable[[Any], Any]) -> Callable[[Any], Any]:
        checks = CHECKS.setdefault(kind, {})
        if run.__name__ in checks:
            raise ValueError(f"two checks of a {kind} are called {run.__name__}")
        tier_of = tier if callable(tier) else lambda row: tier
        checks[run.__name__] = Check(run, applies, tier_of, sweep)
        return run

    return register


def names_for(kind: str, row: Any, tiers: Iterable[Tier] = ("plain",)) -> list[str]:
    """Names of the checks of some tiers that apply to a row."""
    checks = CHECKS[kind].items()
    return [n for n, one in checks if one.applies(row) and one.tier(row) in tiers]


def failures(subject: Any, names: Iterable[str] | None = None) -> dict[str, str]:
    """What checks say of a subject; empty where all pass.

    Args:
      subject: it has a ``kind`` and a ``row``.
      names: of the checks to run where they apply; ``None``: all of the plain tier.

    Returns:
      The report of every check that fails, by name.
    """
    plain = names_for(subject.kind, subject.row)
    every = names_for(subject.kind, subject.row, ("plain", "full"))
    found = {}
    for name in plain if names is None else [n for n in every if n in set(names)]:
        try:
            CHECKS[subject.kind][name].run(subject)
        except Exception as error:
            found[name] = f"{type(error).__name__}: {error}"
    return found
