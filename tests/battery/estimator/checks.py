"""The checks of estimators, beside the common ones."""

from __future__ import annotations

import numpy as np

from battery.estimator.subject import EstimatorSubject
from battery.parts.common import register_common
from battery.parts.compare import assert_close, assert_finite
from battery.registry import check

register_common(EstimatorSubject)
CLOSE = {"rtol": 1e-9, "atol": 1e-10}


@check("estimator")
def oracle(subject: EstimatorSubject) -> None:
    """The fit is that of the closed form or oracle that the row names."""
    fitted = subject.values["plain"]["fitted"]
    wanted = {n: np.float64(v) for n, v in subject.oracle().items()}
    found = {n: getattr(fitted, n) for n in wanted}
    assert_close(found, wanted, "the oracle differs", rtol=1e-7, atol=1e-8)


@check("estimator", lambda row: bool(row.monotone))
def monotone(subject: EstimatorSubject) -> None:
    """The quantity that the row names is not worse with the fit than without."""
    before, after = subject.improves()
    assert after <= before + 1e-12, (
        f"{subject.row.monotone}: {before:.6g} without the fit, {after:.6g} with it"
    )


@check("estimator")
def permutation(subject: EstimatorSubject) -> None:
    """The order of the examples does not matter."""
    assert_close(*subject.values["rearranged"], "the order matters", **CLOSE)


@check("estimator")
def weights(subject: EstimatorSubject) -> None:
    """Weight 2 is an example twice, weight 0 drops one even if it is NaN."""
    for words, (one, other) in subject.values["weighted"].items():
        assert_close(one, other, f"{words} changes it", **CLOSE)


@check("estimator")
def degenerate(subject: EstimatorSubject) -> None:
    """Empty data and what else the example calls degenerate give finite fits."""
    found = subject.values["degenerate"]
    assert len(found) >= 3, "the example names fewer than two kinds of degenerate data"
    for name, fit in found.items():
        assert_finite(fit, f"fitted to {name} data")
