"""Every row of the catalog through every check that applies to it."""

import functools

import pytest

from battery.battery import CHECKS
from battery.subject import Subject
from jaxopt_lab.catalog import CATALOG


@functools.lru_cache(maxsize=1)
def subject_of(name):
    return Subject(CATALOG[name])


def _cases():
    for row in CATALOG.values():
        for name, check in CHECKS.items():
            if check.applies(row):
                known = row.known_failures.get(name)
                marks = [pytest.mark.xfail(reason=known, strict=True)] if known else []
                yield pytest.param(row.name, name, id=f"{row.name}-{name}", marks=marks)


@pytest.mark.parametrize("method, check", list(_cases()))
def test_conformance(method, check):
    CHECKS[check].run(subject_of(method))


def test_known_failures_name_checks_that_apply():
    for row in CATALOG.values():
        for name in row.known_failures:
            assert name in CHECKS, f"{row.name}: there is no check {name}"
            assert CHECKS[name].applies(row), f"{row.name}: {name} does not apply"
