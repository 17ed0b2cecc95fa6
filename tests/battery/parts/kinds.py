"""The kinds whose rows go through this battery, with subject, toy and faults."""

from __future__ import annotations

import importlib
from typing import Any

KINDS = (
    "layer",
    "loss",
    "metric",
    "estimator",
    "initializer",
    "quantizer",
    "data transform",
    "controller",
    "search",
    "decoder",
    "recipe",
    "diagnostic",
)


def _module(kind: str, name: str = "") -> Any:
    folder = "battery." + kind.replace(" ", "_")
    return importlib.import_module(f"{folder}.{name}" if name else folder)


SUBJECTS: dict[str, Any] = {kind: _module(kind).Subject for kind in KINDS}
TOYS: dict[str, Any] = {kind: _module(kind, "toy").TOYS for kind in KINDS}
for _kind in KINDS:
    _module(_kind, "faults")
