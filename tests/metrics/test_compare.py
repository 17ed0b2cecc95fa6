"""The table of all metrics of two sets."""

import jax
import numpy as np
import pytest
from battery.programs import QUICK

from jaxopt_lab.catalog import of_kind
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.metrics import compare_sets, fuzzy_topology_impact

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(13, 2, 2)), RNG.normal(size=(11, 2, 2)) + 0.5


def flat(x):
    return x.reshape(len(x), -1)


@pytest.mark.full
def test_every_metric_of_two_sets_is_in_the_table():
    table = compare_sets(*IMAGES, embed=flat, key=KEY, block=4)
    rows = of_kind("metric").values()
    wanted = {row.name for row in rows if not row.mergeable}
    assert {row.metric for row in table.rows} == wanted
    assert all(0 <= r.value <= 1 for r in table.rows if r.measure != "density")
    assert len(str(table).splitlines()) == len(table.rows) + 2


@pytest.mark.full
def test_its_values_are_those_of_a_metric_of_the_embedded_sets():
    only = {"metrics": ("fuzzy_topology_impact",), "key": KEY, "block": 64}
    table = compare_sets(*IMAGES, embed=flat, **only)
    score = lambda x, y: fuzzy_topology_impact(x, y, k=5)
    found = jax.jit(score, compiler_options=QUICK)(*map(flat, IMAGES))
    assert [r.measure for r in table.rows] == list(found._fields)
    for row, estimate in zip(table.rows, found, strict=True):
        assert (row.metric, row.setting) == ("fuzzy_topology_impact", "k=5")
        np.testing.assert_allclose((row.value, row.error), estimate, rtol=1e-12)


def test_sets_that_cannot_be_measured():
    with pytest.raises(InputError, match="real has no points"):
        compare_sets(np.ones((0, 2)), np.eye(2), key=KEY)
    with pytest.raises(InputError, match="real has no points"):
        compare_sets(np.ones((0, 2)), np.eye(2), key=KEY, embed=lambda x: x)
    with pytest.raises(InputError, match="generated: all 3 points are equal"):
        compare_sets(np.eye(3), np.ones((3, 3)), key=KEY)
    with pytest.raises(InputError, match="k must be from 1 to 2"):
        compare_sets(np.eye(3), np.eye(3), key=KEY)
    with pytest.raises(InputError, match="unknown metrics 'fid'"):
        compare_sets(np.eye(3), np.eye(3), key=KEY, metrics=("fid",))
