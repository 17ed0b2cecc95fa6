"""The checks of quantizers, beside the common ones."""

from __future__ import annotations

import numpy as np

from battery.parts.common import register_common
from battery.parts.compare import TIGHT, assert_close, assert_equal, assert_finite
from battery.quantizer.subject import QuantizerSubject
from battery.registry import check

WITHOUT = ("derivatives",)
register_common(QuantizerSubject, without=WITHOUT)


@check("quantizer")
def codes_in_range(subject: QuantizerSubject) -> None:
    """Codes are whole numbers of as many bits as the row says, and use them."""
    codes = subject.values["cases"]["codes"]
    assert np.issubdtype(codes.dtype, np.integer), f"the codes are {codes.dtype}"
    low = -(2 ** (subject.bits - 1)) if codes.dtype.kind == "i" else 0
    high = low + 2**subject.bits - 1
    least, most = int(codes.min()), int(codes.max())
    assert low <= least and most <= high, f"codes from {least} to {most}"
    assert most - least >= (high - low) / 2, f"only codes from {least} to {most}"


@check("quantizer")
def idempotent(subject: QuantizerSubject) -> None:
    """Values on the grid have the codes that they came from."""
    found = subject.values["cases"]
    assert_equal(found["again"], found["once"], "quantized again it has other codes")


@check("quantizer")
def never_worse(subject: QuantizerSubject) -> None:
    """On the calibration set it is not worse than rounding to the nearest."""
    error, nearest = subject.values["cases"]["measured"]
    assert error <= nearest * (1 + 1e-12), (
        f"the error is {error:.6g}, that of rounding to the nearest {nearest:.6g}"
    )


@check("quantizer")
def report(subject: QuantizerSubject) -> None:
    """The report tells the errors that are measured."""
    found = subject.values["cases"]
    words = "the report tells another error"
    assert_close(found["claimed"], found["measured"], words, **TIGHT)


@check("quantizer")
def nbytes(subject: QuantizerSubject) -> None:
    """A large matrix takes as many bytes a weight as the row says."""
    measured, claimed = subject.nbytes()
    close = claimed <= measured <= 1.02 * claimed
    assert close, f"{measured:.4f} bytes a weight; the row says {claimed:.4f}"


@check("quantizer")
def permutation(subject: QuantizerSubject) -> None:
    """Permuting the columns permutes the codes."""
    assert_equal(
        *subject.values["cases"]["permuted"], "the order of the columns matters"
    )


@check("quantizer")
def flat_rows(subject: QuantizerSubject) -> None:
    """Zero rows come back as zeros, constant ones as constants, nothing overflows."""
    found, zeros, told = subject.values["cases"]["rows"]
    assert_finite((found, zeros, told), "with flat rows")
    assert not np.any(found[0]) and not np.any(zeros), "a zero row is not zero"
    assert np.ptp(found[1]) == 0, "a constant row is not constant"
    far = np.max(np.abs(found[1] - 0.7))
    assert far <= 0.7 / 2 ** (subject.bits - 1), f"a constant row is {far:.3g} away"


@check("quantizer")
def integer_product(subject: QuantizerSubject) -> None:
    """The product of whole numbers, rescaled, is that of the values."""
    words = "in integers it is another product"
    assert_close(*subject.values["cases"]["product"], words, rtol=1e-12, atol=1e-12)
