"""Every row of these kinds through every check that applies to it."""

import contextlib
import functools

import pytest

from battery.parts.kinds import KINDS, SUBJECTS
from battery.reach import reaches
from battery.registry import CHECKS, names_for
from jaxopt_lab.catalog import of_kind

MOST_PROGRAMS = 5


@functools.lru_cache(maxsize=1)
def subject_of(kind, name):
    """The subject, and the names of its checks that have run."""
    return SUBJECTS[kind](of_kind(kind)[name]), set()


def run(kind, row, name):
    subject, done = subject_of(kind, row)
    done.add(name)
    check = CHECKS[kind][name]
    plain = check.tier(subject.row) == "plain"
    with subject.tally.counting() if plain else contextlib.nullcontext():
        check.run(subject)


def _cases():
    for kind in KINDS:
        for row in of_kind(kind).values():
            group = pytest.mark.xdist_group(f"{kind} {row.name}")
            reach = reaches(row)
            for name in names_for(kind, row, ("plain", "full")):
                marks = [group, reach]
                if name in row.known_failures:
                    reason = row.known_failures[name]
                    marks.append(pytest.mark.xfail(reason=reason, strict=True))
                if CHECKS[kind][name].tier(row) == "full" or row.full:
                    marks.append(pytest.mark.full(near=row.name))
                yield pytest.param(
                    kind, row.name, name, id=f"{row.name}-{name}", marks=marks
                )
            marks = [group, reach]
            if row.full:
                marks.append(pytest.mark.full(near=row.name))
            yield pytest.param(
                kind, row.name, None, id=f"{row.name}-programs", marks=marks
            )


@pytest.mark.parametrize("kind, row, check", list(_cases()))
def test_part(kind, row, check):
    if check is not None:
        run(kind, row, check)
        return
    # The plain checks of a row, those that have not run yet included.
    subject, done = subject_of(kind, row)
    for name in names_for(kind, subject.row):
        if name not in done and name not in subject.row.known_failures:
            run(kind, row, name)
    found = subject.tally.programs
    assert found <= MOST_PROGRAMS, f"{found} programs, at most {MOST_PROGRAMS}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_of_each_kind_runs_in_every_suite(kind):
    assert any(not row.full for row in of_kind(kind).values())


def test_known_failures_name_checks_that_apply():
    for kind in KINDS:
        for row in of_kind(kind).values():
            for name in row.known_failures:
                assert CHECKS[kind][name].applies(row), f"{row.name}: {name}"
