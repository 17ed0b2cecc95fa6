"""The study on neural operators: its equations, its sizes, and a tiny run."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from experiments.studies.operators import equations, networks
from experiments.studies.operators.__main__ import STUDY
from experiments.studies.operators.config import SIZES

TINY = dataclasses.replace(SIZES["quick"], points=3, levels=1, steps=2)


def test_solutions_solve_the_five_point_equation():
    f, u = (x[..., 0] for x in equations.poisson(np.random.default_rng(0), 2, 7))
    wide = np.pad(u, ((0, 0), (1, 1), (1, 1)))
    centre = wide[:, 1:-1, 1:-1]
    others = wide[:, 2:, 1:-1] + wide[:, :-2, 1:-1]
    others = others + wide[:, 1:-1, 2:] + wide[:, 1:-1, :-2]
    np.testing.assert_allclose((4 * centre - others) * 8**2, f, atol=1e-10)


def test_fluxes_between_neighbours_are_one():
    rng = np.random.default_rng(0)
    a = np.exp(rng.normal(size=(4, 4)))
    matrix = equations.stiffness(a)
    np.testing.assert_allclose(matrix, matrix.T, rtol=1e-12)
    # Away from the border nothing is lost.
    assert abs(matrix[5].sum()) < 1e-9 * matrix[5, 5]
    assert matrix[5, 6] == pytest.approx(-25 * 2 / (1 / a[1, 1] + 1 / a[1, 2]))


def test_networks_have_about_equal_sizes():
    sizes = {
        n: networks.size(make(SIZES["standard"])) for n, make in networks.NETS.items()
    }
    most = sizes.pop("MgNO")
    assert all(0.75 * most < size <= most for size in sizes.values()), (most, sizes)


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        STUDY.run(TINY, tmp_path / "new", quick=True)
    record = json.loads((tmp_path / "new" / "results.json").read_text())["measured"]
    for equation in equations.EQUATIONS:
        assert set(record["test"][equation]) == set(networks.NETS)
        assert np.all(np.isfinite(list(record["test"][equation].values())))
