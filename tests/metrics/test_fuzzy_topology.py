"""Fuzzy topology impact: recorded values, ends, planted noise and lost modes."""

import jax
import numpy as np
import pytest
from battery.programs import QUICK
from support import planted_sets, vectors

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.metrics import fuzzy_topology_impact
from jaxopt_lab.metrics.fuzzy_topology import neighbourhoods

OPTIONS = ("k", "combine", "include_self", "block")
SCORE = jax.jit(fuzzy_topology_impact, static_argnames=OPTIONS, compiler_options=QUICK)


@pytest.mark.full(plain=["case3_modes"])
@pytest.mark.parametrize("name", vectors.cases("fti"))
def test_recorded_values(name):
    with np.load(vectors.VECTORS / "fti" / f"{name}.npz") as file:
        case = dict(file)
    k = planted_sets.meta(case)["k"]
    sets = case["batch/0/real"], case["batch/0/generated"]

    def run(real, generated):
        both = {
            c: fuzzy_topology_impact(real, generated, k=k, combine=c)
            for c in ("union", "max")
        }
        return both, neighbourhoods(real, k, k, 1024)

    both, fuzzy = jax.jit(run, compiler_options=QUICK)(*sets)
    for combine, found in both.items():
        for field in ("quality", "diversity"):
            wanted = case[f"out/{combine}/{field}"]
            np.testing.assert_allclose(
                getattr(found, field).value, wanted, rtol=1e-8, err_msg=field
            )
    for field in ("rho", "sigma", "radius"):
        wanted = case[f"out/{field}"]
        np.testing.assert_allclose(getattr(fuzzy, field), wanted, rtol=1e-8)


def test_noise_costs_quality_and_lost_modes_cost_diversity():
    real, noisy, fewer = planted_sets.planted()
    for name, sets in (("quality", noisy), ("diversity", fewer)):
        values = [float(getattr(SCORE(real, x), name).value) for x in sets]
        assert values == sorted(values, reverse=True), name
        assert values[-1] < values[0] - 0.3, name


def test_identical_sets_are_at_the_top_also_with_points_that_repeat():
    x = planted_sets.ring(np.random.default_rng(0), 10)
    x[:30] = x[0]
    found = SCORE(x, x)
    for estimate in found:
        np.testing.assert_allclose(estimate, (1, 0), atol=1e-12)


def test_a_point_among_its_own_neighbours_is_one_neighbour_less():
    x = np.random.default_rng(0).normal(size=(30, 2))
    own = jax.jit(lambda x: neighbourhoods(x, 3, 4, 1024), compiler_options=QUICK)(x)
    near = np.sort(np.linalg.norm(x[:, None] - x[None], axis=2), axis=1)[:, 1:4]
    np.testing.assert_allclose(own.radius, near[:, -1], rtol=1e-12)
    total = np.exp(-(near - near[:, :1]) / own.sigma[:, None]).sum(axis=1)
    floor = own.sigma <= 1.001e-3 * near.mean(axis=1)
    np.testing.assert_allclose(total[~floor], 2, rtol=1e-9)
    assert np.mean(floor) < 0.2
    with pytest.raises(InputError, match="include_self=True takes k of at least 2"):
        fuzzy_topology_impact(x, x, k=1, include_self=True)


def test_nan_shows_and_sets_that_cannot_be_measured_are_refused():
    real, noisy, _ = planted_sets.planted()
    noisy[0][0, 0] = np.nan
    assert all(np.isnan(leaf) for leaf in jax.tree.leaves(SCORE(real, noisy[0])))
    with pytest.raises(InputError, match="k must be from 1 to 2, the other points"):
        fuzzy_topology_impact(np.eye(3), np.eye(3), k=3)
    with pytest.raises(InputError, match="unknown combine 'sum'"):
        fuzzy_topology_impact(np.eye(3), np.eye(3), k=1, combine="sum")  # type: ignore
