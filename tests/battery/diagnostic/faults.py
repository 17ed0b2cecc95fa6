"""Broken diagnostics."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np

from battery.diagnostic.toy import TOY, changed, example, mean
from battery.faults import plant
from battery.parts.common_faults import plant_common
from battery.parts.host import OF_FUNCTIONS

_calls = itertools.count()


def documented(text: str) -> Any:
    """The toy with another docstring; its own where there is none."""

    def build(x: Any) -> Any:
        return mean(x)

    build.__doc__ = text or mean.__doc__
    return dataclasses.replace(TOY, name="documented", build=build)


plant_common(
    "diagnostic",
    lambda change, **header: dataclasses.replace(TOY, name="broken", **header),
    documented=documented,
    example=example,
    without=OF_FUNCTIONS,
)


def small_error(found, x):
    return found._replace(error=found.error / 50)


def huge_error(found, x):
    return found._replace(error=found.error * 1e6)


def spread(found, x):
    return found._replace(error=found.error * np.sqrt(len(x)))


def relative(found, x):
    with np.errstate(invalid="ignore"):
        return found._replace(error=found.error * found.value / found.value)


def clean(found, x):
    return mean(np.nan_to_num(x))


def counting(found, x):
    return found._replace(value=found.value + 1e-9 * next(_calls))


def biased(found, x):
    return found._replace(value=found.value * (1 + 1e-7))


FAULTS = (
    ("a plain tuple", "contract", "is a tuple", changed(lambda f, x: tuple(f))),
    (
        "no numbers",
        "contract",
        "has no value",
        changed(lambda f, x: f._replace(value=np.ones(2))),
    ),
    ("small error", "covers", "from the truth", changed(small_error)),
    ("huge error", "honest", "the distance", changed(huge_error)),
    ("spread", "shrinks", "does not shrink", changed(spread)),
    ("relative", "degenerate", "zero input gives", changed(relative)),
    ("clean", "nan_visible", "a NaN becomes", changed(clean)),
    ("counting", "same_key", "the same key", changed(counting)),
    ("biased", "neutral", "of equal numbers", changed(biased)),
)
for name, aim, words, row in FAULTS:
    plant("diagnostic", name, aim, words, row)
