"""Mark-Evaluate: recorded values, order, planted noise and lost modes, bad input."""

import jax
import numpy as np
import pytest
from battery.programs import QUICK
from support import planted_sets, vectors

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.metrics import mark_evaluate

SCORE = jax.jit(mark_evaluate, static_argnames=("k", "block"), compiler_options=QUICK)
FIELDS = {
    "petersen": "petersen",
    "schnabel_quality": "schnabel_qual",
    "schnabel_diversity": "schnabel_div",
    "capture": "capture",
}


@pytest.mark.full(plain=["case2_unequal_k3", "case6_duplicates"])
@pytest.mark.parametrize("name", vectors.cases("mark_evaluate"))
def test_recorded_values(name):
    with np.load(vectors.VECTORS / "mark_evaluate" / f"{name}.npz") as file:
        case = dict(file)
    k = planted_sets.meta(case)["k"]
    found = SCORE(case["batch/0/reference"], case["batch/0/candidate"], k=k)
    for field, recorded in FIELDS.items():
        value = getattr(found, field).value
        wanted = case[f"out/{recorded}"]
        np.testing.assert_allclose(value, wanted, rtol=1e-9, err_msg=field)


def test_the_order_of_the_points_says_nothing():
    real, noisy, _ = planted_sets.planted()
    rng = np.random.default_rng(3)
    whole = SCORE(real, noisy[1])
    other = SCORE(rng.permutation(real), rng.permutation(noisy[1]))
    jax.tree.map(np.testing.assert_array_equal, whole, other)


def test_noise_costs_quality_and_lost_modes_cost_diversity():
    real, noisy, fewer = planted_sets.planted()
    for name, sets in (("schnabel_quality", noisy), ("schnabel_diversity", fewer)):
        values = [float(getattr(SCORE(real, x), name).value) for x in sets]
        assert values == sorted(values, reverse=True), name
        assert values[-1] < values[0] - 0.1, name


def test_it_is_traced_without_implicit_promotion_in_both_types():
    for dtype in ("float32", "float64"):
        x = jax.ShapeDtypeStruct((7, 2), dtype)
        found = jax.eval_shape(SCORE, x, x)
        assert {str(leaf.dtype) for leaf in jax.tree.leaves(found)} == {dtype}


def test_nan_shows():
    real, noisy, _ = planted_sets.planted()
    noisy[0][0, 0] = np.nan
    assert all(np.isnan(leaf) for leaf in jax.tree.leaves(SCORE(real, noisy[0])))


def test_sets_that_cannot_be_measured():
    x = np.eye(3)
    with pytest.raises(InputError, match="real has no points"):
        mark_evaluate(x[:0], x)
    with pytest.raises(InputError, match="k must be from 1 to 2, the other points"):
        mark_evaluate(x, x, k=3)
    with pytest.raises(InputError, match="real: all 3 points are equal"):
        mark_evaluate(np.ones((3, 3)), x)
