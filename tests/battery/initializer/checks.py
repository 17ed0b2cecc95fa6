"""The checks of initializers, beside the common ones."""

from __future__ import annotations

import numpy as np

from battery.initializer.subject import LARGE, InitializerSubject
from battery.parts.common import register_common
from battery.parts.compare import assert_equal
from battery.registry import check

# Numbers of another type are other draws, and nothing goes in but a key.
WITHOUT = ("float32", "bfloat16", "finite", "derivatives", "nan_visible", "vmap")
register_common(InitializerSubject, WITHOUT)


@check("initializer")
def moments(subject: InitializerSubject) -> None:
    """Mean, variance and kurtosis are those of the row, up to sampling."""
    found, wanted = subject.moments()
    count = len(subject.values["draws"]) * np.prod(LARGE)
    variance = wanted[1]
    # Five standard errors, with those of a normal distribution.
    errors = np.sqrt(np.array([variance, 2 * variance**2, 24]) / count)
    names = ("mean", "variance", "kurtosis")
    for name, one, other, error in zip(names, found, wanted, errors, strict=True):
        assert abs(one - other) <= 5 * error, (
            f"the {name} is {one:.4g}, not {other:.4g}"
        )


@check("initializer", lambda row: bool(row.spectrum))
def spectrum(subject: InitializerSubject) -> None:
    """The largest and least singular value are those of the row, within 10 %."""
    singular = np.linalg.svd(subject.values["draws"][0], compute_uv=False)
    low, high = subject.formula(subject.row.spectrum)
    found = (float(singular.min()), float(singular.max()))
    for name, one, other in zip(("least", "largest"), found, (low, high), strict=True):
        good = abs(one - other) <= 0.1 * high
        assert good, f"the {name} singular value is {one:.4g}, not {other:.4g}"


@check("initializer")
def keys(subject: InitializerSubject) -> None:
    """Another key gives other numbers; a raw key those of the typed one."""
    found = subject.values["keys"]
    assert_equal(found["raw"], found["one"], "a raw key gives other numbers")
    same = np.array_equal(found["one"], found["other"])
    assert not same, "another key gives the same numbers"
