"""Checks that compile a row several times more: in full, and plain on three rows."""

from __future__ import annotations

import jax
import numpy as np

from battery.registry import Tier, check
from battery.transform import comparison, sweeps
from battery.transform.subject import Subject

# A selection by rank may fall the other way where gradients differ by a rounding.
TIGHT = {"rtol": 1e-10, "atol": 1e-12}
PLAIN = {"link": "sam", "optimizer": "adamw8bit", "wrapper": "lookahead"}
"""One row of each role, which every run of the suite takes through them."""


def tier(row: object) -> Tier:
    """Whether a row is one of those."""
    return "plain" if row.name in PLAIN.values() else "full"


def _equal(subject: Subject, found: object, expected: object, what: str) -> None:
    tolerance = comparison.tolerance(subject.row, **TIGHT)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(
            np.asarray(a, float), np.asarray(b, float), err_msg=what, **tolerance
        ),
        found,
        expected,
    )


@check("transform", tier=tier, sweep=True)
def parallel_styles(subject: Subject) -> None:
    """Two devices are one device, in every style of data parallelism."""
    for style in sweeps.STYLES:
        _equal(subject, subject.two_devices(style), subject.one_device, style)


@check("transform", tier=tier, sweep=True)
def divided_state(subject: Subject) -> None:
    """Two devices that divide the state are one device."""
    _equal(subject, subject.divided, subject.one_device, "divided")


@check("transform", lambda row: row.differentiable, tier=tier, sweep=True)
def unroll(subject: Subject) -> None:
    """Derivatives through ``unroll`` are the true ones, forward and in reverse."""
    found = subject.unrolled
    assert np.all(np.abs(found.reverse) > 1e-6), found.reverse
    np.testing.assert_allclose(found.reverse, found.forward, rtol=1e-9)
    np.testing.assert_allclose(found.reverse, found.numeric, rtol=1e-6, atol=1e-8)


@check("transform", tier=tier, sweep=True)
def differentiable_values(subject: Subject) -> None:
    """The values under ``differentiable`` are the same to the last bit."""
    plain, safe = subject.under_differentiable
    assert jax.tree.structure(plain) == jax.tree.structure(safe)
    for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(safe), strict=True):
        assert a.dtype == b.dtype, f"{a.dtype} became {b.dtype}"
        np.testing.assert_array_equal(a, b)
