"""The checks of metrics, beside the common ones."""

from __future__ import annotations

import jax
import numpy as np

from battery.metric.subject import MetricSubject
from battery.parts.common import register_common
from battery.parts.compare import TIGHT, assert_close
from battery.registry import check

WITHOUT = ("derivatives",)
register_common(MetricSubject, WITHOUT)


@check("metric", lambda row: row.mergeable)
def split(subject: MetricSubject) -> None:
    """Any split, order and merging of the sums gives the same."""
    whole = subject.values["plain"]["values"]
    for words, found in subject.values["split"].items():
        assert_close(found, whole, f"{words} it differs", **TIGHT)


@check("metric", lambda row: row.mergeable)
def padding(subject: MetricSubject) -> None:
    """Weight 0 is as if there were no example; weight 2 is an example twice."""
    found = subject.values["padded"]
    whole = subject.values["plain"]["values"]
    assert_close(found["ones"], whole, "weights of one change it", **TIGHT)
    assert_close(found["padding"], whole, "padding is seen", **TIGHT)
    words = "weight 2 is not an example twice"
    assert_close(found["doubled"], found["repeated"], words, **TIGHT)


@check("metric", lambda row: not row.mergeable)
def blocked(subject: MetricSubject) -> None:
    """In blocks of two points it is the whole."""
    found, whole = subject.values["blocked"], subject.values["plain"]
    assert_close(found, whole, "in blocks it differs", **TIGHT)


@check("metric")
def reference(subject: MetricSubject) -> None:
    """It equals the reference that the row names."""
    found = subject.values["plain"]["values"]
    wanted = {k: np.float64(v) for k, v in subject.reference().items()}
    assert_close(dict(found), wanted, "the reference differs", **TIGHT)


@check("metric")
def ends(subject: MetricSubject) -> None:
    """The best and the worst answer give the ends of the row's range."""
    low, high = subject.row.range
    best, worst = (high, low) if subject.row.direction == "higher" else (low, high)
    for name, wanted in (("best", best), ("worst", worst)):
        for value in jax.tree.leaves(subject.values["end"][name]):
            good = abs(float(value) - wanted) <= 1e-9
            assert good, f"the {name} answer gives {value:.6g} instead of {wanted}"
    for value in jax.tree.leaves(subject.values["plain"]["values"]):
        assert low <= value <= high, f"{value:.6g} lies outside of [{low}, {high}]"
