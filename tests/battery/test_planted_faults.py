"""The battery can fail: for each of its checks, a method that it catches."""

import re

import pytest

from battery import faults_programs, faults_types, faults_values
from battery.battery import CHECKS, failures
from battery.faults_support import FAULTS, LINK, OPTIMIZER, WRAPPER
from battery.subject import Subject

PLANTED_IN = (faults_programs, faults_types, faults_values)


@pytest.mark.parametrize("row", [OPTIMIZER, LINK, WRAPPER], ids=lambda row: row.name)
def test_what_the_faults_are_planted_in_passes_everything(row):
    assert failures(Subject(row)) == {}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_fails_these_checks_and_no_other(name):
    fault = FAULTS[name]
    found = failures(Subject(fault.row))
    assert set(found) == {fault.aim, *fault.also}, found
    assert re.search(fault.words, found[fault.aim], re.DOTALL), found[fault.aim]


def test_every_check_has_a_fault():
    assert {fault.aim for fault in FAULTS.values()} == set(CHECKS)
