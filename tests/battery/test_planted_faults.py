"""The battery can fail: for each of its checks, a part that it catches."""

import re

import pytest
from support import compiler

from battery import transform
from battery.faults import FAULTS
from battery.registry import CHECKS, failures
from battery.transform import (
    faults_programs,
    faults_support,
    faults_types,
    faults_values,
)

# What the faults need is imported here; rows of the catalog are not among it.
pytestmark = pytest.mark.reaches("jaxopt_lab.core.gradients")
PLANTED_IN = (faults_programs, faults_types, faults_values)
SUBJECTS = {"transform": transform.Subject}
SOUND = {
    "transform": [
        faults_support.OPTIMIZER,
        faults_support.LINK,
        faults_support.WRAPPER,
    ]
}
CASES = [(kind, name) for kind in SOUND for name in FAULTS[kind]]
# Ten checks fail with it; of its aim, there is another fault.
DEAR = "another step when traced"
PLAIN = [f"{kind}-{name}" for kind, name in CASES if name != DEAR]


@pytest.mark.full
@pytest.mark.parametrize(
    "kind, row",
    [(kind, row) for kind, rows in SOUND.items() for row in rows],
    ids=lambda x: getattr(x, "name", x),
)
@compiler.quickly()
def test_what_the_faults_are_planted_in_passes_everything(kind, row):
    assert failures(SUBJECTS[kind](row)) == {}


@pytest.mark.full(plain=PLAIN)
@pytest.mark.parametrize("kind, name", CASES)
def test_a_fault_fails_these_checks(kind, name):
    fault = FAULTS[kind][name]
    found = failures(SUBJECTS[kind](fault.row, apart=True), fault.checks)
    assert set(found) == fault.checks, found
    assert re.search(fault.words, found[fault.aim], re.DOTALL), found[fault.aim]


@pytest.mark.full
@pytest.mark.parametrize("kind, name", CASES)
@compiler.quickly()
def test_and_no_other(kind, name):
    fault = FAULTS[kind][name]
    found = failures(SUBJECTS[kind](fault.row))
    assert set(found) == fault.checks, found


def test_every_check_has_a_fault():
    for kind in SOUND:
        faults = FAULTS[kind]
        checks = {name for name, one in CHECKS[kind].items() if not one.sweep}
        assert {fault.aim for fault in faults.values()} == checks
