"""Every row of the catalog through every check that applies to it."""

import ast
import contextlib
import functools
import pathlib

import pytest

from battery import transform
from battery.programs import Tally
from battery.reach import reaches
from battery.registry import CHECKS, names_for
from jaxopt_lab.catalog import of_kind

SUBJECTS = {"transform": (transform.Subject, of_kind("transform"))}
"""By kind of part: its subject, and its rows by name."""
MOST_PROGRAMS = {"transform": 15}


@functools.lru_cache(maxsize=1)
def subject_of(kind, name):
    """The subject, and what its checks have compiled and which have run."""
    make, rows = SUBJECTS[kind]
    return make(rows[name]), Tally(), set()


def run(kind, name, check):
    subject, tally, done = subject_of(kind, name)
    done.add(check)
    one = CHECKS[kind][check]
    with contextlib.nullcontext() if one.sweep else tally.counting():
        one.run(subject)


def full_of(row):
    """Of a check that waits for the full run, or for a change of a few rows."""
    return pytest.mark.full(near=row.name)


def _cases():
    for kind, (_, rows) in SUBJECTS.items():
        for row in rows.values():
            group = pytest.mark.xdist_group(f"{kind} {row.name}")
            reach = reaches(row)
            for name in names_for(kind, row, ("plain", "full")):
                marks = [group, reach]
                if name in row.known_failures:
                    reason = row.known_failures[name]
                    marks.append(pytest.mark.xfail(reason=reason, strict=True))
                if row.full or CHECKS[kind][name].tier(row) == "full":
                    marks.append(full_of(row))
                id_ = f"{row.name}-{name}"
                yield pytest.param(kind, row.name, name, id=id_, marks=marks)
            marks = [group, reach]
            if row.full:
                marks.append(full_of(row))
            yield pytest.param(
                kind, row.name, None, id=f"{row.name}-programs", marks=marks
            )


@pytest.mark.parametrize("kind, row, check", list(_cases()))
def test_battery(kind, row, check, pytestconfig):
    if check is not None:
        run(kind, row, check)
        return
    # The checks of a row, whichever of them have run already.
    subject, tally, done = subject_of(kind, row)
    tiers = ("plain", "full") if pytestconfig.getoption("full") else ("plain",)
    names = names_for(kind, subject.row, tiers)
    for name in {n for n in names if not CHECKS[kind][n].sweep} - done:
        try:
            run(kind, row, name)
        except Exception:  # another test reports it
            continue
    most = MOST_PROGRAMS[kind]
    assert tally.programs <= most, f"{tally.programs} programs, at most {most}"


def test_known_failures_name_checks_that_apply():
    for kind, (_, rows) in SUBJECTS.items():
        for row in rows.values():
            for name in row.known_failures:
                assert name in CHECKS[kind], f"{row.name}: there is no check {name}"
                applies = CHECKS[kind][name].applies(row)
                assert applies, f"{row.name}: {name} does not apply"


FORBIDDEN = {"jit", "lower", "compile", "update", "init", "run", "step", "vmap", "grad"}


def _called(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            yield name, node.lineno


@pytest.mark.parametrize(
    "path",
    sorted(pathlib.Path(__file__).parent.glob("*/checks_*.py")),
    ids=lambda path: f"{path.parent.name}/{path.stem}",
)
def test_checks_compare_arrays_and_do_not_compute(path):
    """The subject is the only place that compiles."""
    found = {name: line for name, line in _called(path) if name in FORBIDDEN}
    assert not found, f"{path.name} calls {found}"
