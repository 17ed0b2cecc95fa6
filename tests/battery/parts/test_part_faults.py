"""The battery of parts can fail: for each of its checks, a part that it catches."""

import re

import pytest
from support import compiler

from battery.faults import FAULTS
from battery.parts.kinds import KINDS, SUBJECTS, TOYS
from battery.registry import CHECKS, failures, names_for


def _cases():
    """Every fault; the first one of each check in the plain run.

    A common check is the same function for every kind: a loss, of which most checks
    are about and which compiles little, has the plain faults of those.
    """
    seen = set()
    for kind in sorted(KINDS, key=lambda kind: kind != "loss"):
        for name, fault in FAULTS[kind].items():
            run = CHECKS[kind][fault.aim].run
            marks = [pytest.mark.full] if run in seen else []
            seen.add(run)
            yield pytest.param(kind, name, id=f"{kind}-{name}", marks=marks)


@pytest.mark.full
@pytest.mark.parametrize(
    "kind, toy",
    [pytest.param(k, t, id=f"{k}-{t.name}") for k in KINDS for t in TOYS[k]],
)
@compiler.quickly()
def test_what_the_faults_are_planted_in_passes_everything(kind, toy):
    every = names_for(kind, toy, ("plain", "full"))
    assert failures(SUBJECTS[kind](toy), every) == {}


@pytest.mark.parametrize("kind, name", list(_cases()))
@compiler.quickly()
def test_a_fault_fails_these_checks(kind, name):
    fault = FAULTS[kind][name]
    found = failures(SUBJECTS[kind](fault.row, apart=True), fault.checks)
    assert set(found) == fault.checks, found
    assert re.search(fault.words, found[fault.aim], re.DOTALL), found[fault.aim]


@pytest.mark.parametrize("kind", KINDS)
def test_every_check_has_a_fault(kind):
    assert {fault.aim for fault in FAULTS[kind].values()} == set(CHECKS[kind])
