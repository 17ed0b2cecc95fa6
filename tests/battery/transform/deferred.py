"""Rows whose dear checks wait for the full run.

Every row has its derivatives at zeros, its types and its counts in every run. The other
programs are dear: of everything around it, of its paths in and out of ``jit``, of its
descent, and the two that are compiled as users compile. Of each family a row or two
take them in every run; the others, all of which have vectors and equalities of their
own there, in the full run and wherever ``pytest --changed`` reaches a few rows only.
"""

from __future__ import annotations

from battery.registry import Tier

ROWS: dict[str, str] = {
    "multistep_sam": "the scaffolding of sam",
    "msam": "the scaffolding of sam",
    "gsam": "the scaffolding of sam",
    "friendly_sam": "the scaffolding of sam",
    "looksam": "the scaffolding of sam",
    "esam": "the scaffolding of sam",
    "lookbehind": "a wrapper as lookahead",
    "wsam": "a wrapper as lookahead",
    "momentum_sam": "a wrapper as lookahead",
    "stale_sam": "a wrapper as lookahead",
    "agvm": "a wrapper as lookahead",
    "adam_cm": "per leaf and masked as critical_gradients",
    "adamp": "per leaf and masked as normalize_and_project",
    "sgdp": "per leaf and masked as normalize_and_project",
    "project_radial": "a wrapper as lookahead",
    "adamw8bit": "per leaf and masked as adam_mini",
    "ldadam": "per leaf and masked as adam_mini",
    "apollo": "per leaf and masked as adam_mini",
    "soap": "per leaf and masked as adam_mini",
}
"""Rows, and what they share with one whose checks are all plain."""


def tier(row: object) -> Tier:
    """Of a dear check of a row."""
    return "full" if row.name in ROWS else "plain"
