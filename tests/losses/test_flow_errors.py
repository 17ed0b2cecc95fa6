"""Weighted flow matching: recorded values, and the limit without weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import planted_sets, vectors

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.losses import gibbs_weights, weighted_flow_matching
from jaxopt_lab.losses.flow_errors import squared_error

RNG = np.random.default_rng(0)
V, APART = RNG.normal(size=(2, 6, 2, 2))
COSTS = {"l2": "distance", "half_sq": "half_squared"}


@pytest.mark.parametrize("name", vectors.cases("wcfm"))
def test_recorded_values(name):
    with np.load(vectors.VECTORS / "wcfm" / f"{name}.npz") as file:
        case = dict(file)
    epsilon = planted_sets.meta(case)["epsilon"]
    displacement = case["batch/x1"] - case["batch/x0"]

    @jax.jit
    def run(v, apart):
        found = {}
        for words, cost in COSTS.items():
            given = {"displacement": apart, "epsilon": epsilon, "cost": cost}
            errors = squared_error(v, displacement=apart)
            weights = gibbs_weights(apart, epsilon=epsilon, cost=cost)
            found[f"{words}/loss_raw"] = jnp.mean(weighted_flow_matching(v, **given))
            found[f"{words}/loss_batch_normalised"] = jnp.mean(weights * errors)
        return found

    for field, value in run(case["batch/v"], displacement).items():
        np.testing.assert_allclose(value, case[f"out/{field}"], rtol=1e-10)


def test_without_a_bound_it_is_the_squared_error_to_the_last_bit():
    @jax.jit
    def run(v, apart):
        infinite = {"displacement": apart, "epsilon": float("inf")}
        pair = [
            jax.value_and_grad(lambda v, f=f, g=g: jnp.sum(f(v, **g)))(v)
            for f, g in (
                (weighted_flow_matching, infinite),
                (squared_error, {"displacement": apart}),
            )
        ]
        same = jnp.zeros_like(apart)
        near = gibbs_weights(1e3 * apart, epsilon=1e-3)
        slope = jax.grad(lambda d: jnp.sum(weighted_flow_matching(d, displacement=d)))
        return pair, gibbs_weights(apart, epsilon=float("inf")), near, slope(same)

    (one, other), ones, near, slope = run(V, APART)
    jax.tree.map(np.testing.assert_array_equal, one, other)
    np.testing.assert_array_equal(ones, np.ones(6))
    # All weights underflow, the nearest pair counts.
    assert np.isfinite(near).all() and float(near.sum()) == 6
    assert np.isfinite(slope).all()


@pytest.mark.parametrize(
    "options, words",
    [
        ({"displacement": APART[:3]}, r"displacement must have shape \(6, 2, 2\)"),
        ({"displacement": APART, "epsilon": 0.0}, "epsilon"),
        ({"displacement": APART, "cost": "l1"}, "unknown cost 'l1'"),
        ({"displacement": APART.astype(int)}, "real floating numbers; got int"),
        (
            {"displacement": APART, "where": jnp.ones(3)},
            r"where must have shape \(6,\)",
        ),
    ],
)
def test_bad_input(options, words):
    with pytest.raises(InputError, match=words) as told:
        weighted_flow_matching(V, **options)
    assert "\n" not in str(told.value)
