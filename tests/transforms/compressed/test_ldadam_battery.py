"""The battery on LDAdam where its matrices are projected, and the catalog's rows."""

import dataclasses

import pytest
from battery.registry import CHECKS, failures
from battery.transform import Subject

from jaxopt_lab import catalog

ROWS = [catalog.get("microadam", "transform"), catalog.get("ldadam", "transform")]
LDADAM = ROWS[1]


def with_defaults(row, **values):
    options = {
        name: dataclasses.replace(option, default=values[name])
        if name in values
        else option
        for name, option in row.details.items()
    }
    return dataclasses.replace(row, options=options)


@pytest.mark.full
@pytest.mark.parametrize("error", ["float32", "4-bit"])
def test_rank_1_passes_every_check(error):
    """The battery's matrices are too small for the default rank."""
    assert failures(Subject(with_defaults(LDADAM, rank=1, error=error))) == {}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_rows_name_arguments_and_defaults_of_the_methods(row):
    tx = row.make()
    assert callable(tx.update)
    for name in row.known_failures:
        assert CHECKS["transform"][name].applies(row)
