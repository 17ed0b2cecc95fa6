"""Broken data transforms."""

from __future__ import annotations

import dataclasses
from typing import Any

from battery.data_transform.checks import WITHOUT
from battery.data_transform.toy import TOY, broken, example, shift, with_results
from battery.faults import plant
from battery.parts.common_faults import plant_common


def documented(text: str) -> Any:
    """The toy with another docstring; its own where there is none."""

    def build(strength: float = 1.0) -> Any:
        return shift(strength)

    build.__doc__ = text or shift.__doc__
    return dataclasses.replace(TOY, name="documented", build=build)


plant_common(
    "data transform", broken, documented=documented, example=example, without=WITHOUT
)


def without_key(results, batch, key):
    return {**results, "x": batch["x"] + 1}


def other_labels(results, batch, key):
    return {**results, "label": batch["label"][::-1]}


def one_less(results, batch, key):
    return {**results, "x": results["x"][:-1]}


def drops(results, batch, key):
    return {"x": results["x"], "label": results["label"]}


def adds_everywhere(results, batch, key):
    return {k: v + 1 if k not in ("x", "label") else v for k, v in results.items()}


claims = lambda **header: dataclasses.replace(TOY, name="broken", **header)
FAULTS = (
    ("without key", "key_matters", "the same batch", with_results(without_key)),
    ("other labels", "labels", "keeps_labels=True", with_results(other_labels)),
    ("kept labels", "labels", "keeps_labels=False", claims(keeps_labels=False)),
    ("one less", "shapes", "changes_shapes=False", with_results(one_less)),
    ("same shapes", "shapes", "changes_shapes=True", claims(changes_shapes=True)),
    ("drops", "other_entries", "unknown entry|structure|against", with_results(drops)),
    ("adds", "other_entries", "unknown entry", with_results(adds_everywhere)),
)
for name, aim, words, row in FAULTS:
    plant("data transform", name, aim, words, row)
