"""Signatures of memory and compressed optimizers, alike where they mean the same."""

import inspect

import pytest

import jaxopt_lab
from jaxopt_lab import catalog

FAMILIES = ("memory", "compressed")
ROWS = {n: r for n, r in catalog.of_kind("transform").items() if r.family in FAMILIES}
LINKS = ["adam_mini", "apollo", "critical_momenta", "ldadam", "microadam", "soap"]


def makers():
    yield from ((name, row.load()) for name, row in ROWS.items())
    for name in LINKS:
        yield f"scale_by_{name}", getattr(jaxopt_lab, f"scale_by_{name}")


@pytest.mark.parametrize("name, make", list(makers()))
def test_everything_but_the_learning_rate_is_keyword_only(name, make):
    parameters = inspect.signature(make).parameters
    free = [n for n, p in parameters.items() if p.kind is not p.KEYWORD_ONLY]
    assert free == (["learning_rate"] if "learning_rate" in parameters else [])
    assert "key" not in parameters


@pytest.mark.parametrize("name", ROWS)
def test_the_weight_decay_is_that_of_adamw_where_the_name_says_so(name):
    parameters = inspect.signature(ROWS[name].load()).parameters
    if "weight_decay" in parameters:
        wanted = 1e-4 if name.startswith("adamw") else 0.0
        assert parameters["weight_decay"].default == wanted
