"""Every row of these kinds through every check that applies to it."""

import functools

import pytest

from battery.parts.kinds import KINDS, SUBJECTS
from battery.registry import CHECKS, names_for
from jaxopt_lab.catalog import of_kind

MOST_PROGRAMS = 5


@functools.lru_cache(maxsize=1)
def subject_of(kind, name):
    return SUBJECTS[kind](of_kind(kind)[name])


def run(subject, name):
    with subject.tally.counting():
        CHECKS[subject.kind][name].run(subject)


def _cases():
    for kind in KINDS:
        for row in of_kind(kind).values():
            for name, check in CHECKS[kind].items():
                if not check.applies(row):
                    continue
                known = row.known_failures.get(name)
                marks = [pytest.mark.xfail(reason=known, strict=True)] if known else []
                if check.tier(row) == "full":
                    marks.append(pytest.mark.full)
                yield pytest.param(
                    kind, row.name, name, id=f"{row.name}-{name}", marks=marks
                )


@pytest.mark.parametrize("kind, row, check", list(_cases()))
def test_part(kind, row, check):
    run(subject_of(kind, row), check)


@pytest.mark.parametrize(
    "kind, row", [(k, r) for k in KINDS for r in of_kind(k)], ids=lambda x: x
)
def test_programs_of_a_row(kind, row):
    subject = SUBJECTS[kind](of_kind(kind)[row])
    with subject.tally.counting():
        for name in names_for(kind, subject.row):
            if name not in subject.row.known_failures:
                CHECKS[kind][name].run(subject)
    assert subject.tally.programs <= MOST_PROGRAMS


def test_known_failures_name_checks_that_apply():
    for kind in KINDS:
        for row in of_kind(kind).values():
            for name in row.known_failures:
                assert CHECKS[kind][name].applies(row), f"{row.name}: {name}"
