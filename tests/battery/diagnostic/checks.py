"""The checks of diagnostics."""

from __future__ import annotations

import numpy as np

from battery.diagnostic.subject import DiagnosticSubject
from battery.parts.common import register_common
from battery.parts.host import OF_FUNCTIONS
from battery.registry import check
from jaxopt_lab.catalog.part import loaded
from jaxopt_lab.core.errors import InputError

register_common(DiagnosticSubject, without=OF_FUNCTIONS)
ROUNDING = 1e-9


@check("diagnostic")
def contract(subject: DiagnosticSubject) -> None:
    """The result is a named tuple with a value and an error, numbers both."""
    found = subject.few[0]
    assert isinstance(found, tuple) and hasattr(found, "_fields"), (
        f"the result is a {type(found).__name__}"
    )
    for name in ("value", "error"):
        assert np.ndim(getattr(found, name, np.zeros(2))) == 0, f"it has no {name}"
    assert float(found.error) >= 0, f"the error is {found.error}"


@check("diagnostic")
def covers(subject: DiagnosticSubject) -> None:
    """The error covers the truth."""
    for found in (*subject.few, *subject.many):
        truth = subject.case.truth(found.value)
        apart = abs(float(found.value) - truth)
        allowed = subject.case.errors * float(found.error) + ROUNDING * (1 + abs(truth))
        assert apart <= allowed, (
            f"{float(found.value):.6g} with error {float(found.error):.3g} is "
            f"{apart:.3g} from the truth, {truth:.6g}"
        )


@check("diagnostic")
def honest(subject: DiagnosticSubject) -> None:
    """The error is not far larger than the distance from the truth."""
    apart = [abs(float(f.value) - subject.case.truth(f.value)) for f in subject.few]
    claimed = np.mean([float(f.error) for f in subject.few])
    most = 100 * max(np.max(apart), ROUNDING)
    assert claimed <= most, f"the error is {claimed:.3g}, the distance {max(apart):.3g}"


@check("diagnostic")
def shrinks(subject: DiagnosticSubject) -> None:
    """More samples shrink the error."""
    few, many = (
        np.median([float(found.error) for found in some])
        for some in (subject.few, subject.many)
    )
    words = f"{subject.case.few} samples: {few:.3g}; {subject.case.many}: {many:.3g}"
    assert many <= 0.7 * few, f"the error does not shrink: {words}"


@check("diagnostic")
def degenerate(subject: DiagnosticSubject) -> None:
    """Degenerate input gives the finite value that it has."""
    for name, (found, truth) in subject.case.degenerate(subject.row.load()).items():
        value, error = float(found.value), float(found.error)
        finite = np.isfinite(value) and np.isfinite(error)
        assert finite, f"{name} input gives {value} with error {error}"
        apart = abs(value - truth)
        assert apart <= 1e-6, f"{name} input gives {value} instead of {truth}"


@check("diagnostic")
def nan_visible(subject: DiagnosticSubject) -> None:
    """A NaN in the input shows in value or error, or is refused in one line."""
    try:
        found = subject.case.poisoned(subject.row.load())
    except InputError:
        return
    seen = not (np.isfinite(float(found.value)) and np.isfinite(float(found.error)))
    assert seen, f"a NaN becomes {float(found.value):.6g}"


@check("diagnostic")
def same_key(subject: DiagnosticSubject) -> None:
    """The same key and data give the same value."""
    again = subject.measure(subject.case.few)
    one, two = float(subject.few[0].value), float(again.value)
    assert one == two, f"the same key gives {one} and then {two}"


@check("diagnostic")
def neutral(subject: DiagnosticSubject) -> None:
    """Where the row says so it is exactly the simpler thing."""
    value, arguments = subject.case.neutral(subject.row.load())
    wanted = loaded(subject.row.reduces_to.equals)(*arguments)
    name = subject.row.reduces_to.equals
    close = abs(float(value) - float(wanted)) <= 1e-9 * (1 + abs(float(wanted)))
    assert close, f"{subject.row.reduces_to.note} it is not {name}"
