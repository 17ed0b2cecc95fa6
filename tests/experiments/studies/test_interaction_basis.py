"""The study on interaction bases: its other coordinates, and a tiny run."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from experiments.studies.interaction_basis import bases
from experiments.studies.interaction_basis.__main__ import STUDY
from experiments.studies.interaction_basis.config import SIZES

TINY = dataclasses.replace(SIZES["quick"], hidden=(3, 3), steps=2, images=8, points=1)


def test_other_coordinates_stretch_as_much_as_they_may():
    rng = np.random.default_rng(0)
    matrix = bases.other_coordinates(rng, 20, 0.5)
    sizes = np.log(np.linalg.svd(matrix, compute_uv=False))
    assert 0.3 < np.abs(sizes).max() <= 0.5 + 1e-12
    off = np.abs(matrix.T @ matrix - np.diag(np.diag(matrix.T @ matrix)))
    assert off.max() > 0.01


def test_neurons_are_a_basis_of_their_own():
    x = np.random.default_rng(0).normal(size=(4, 3))
    (basis,) = bases.neurons(SIZES["quick"], [], x)
    np.testing.assert_array_equal(basis.c_pinv @ basis.c, np.eye(3))
    (basis,) = bases.principal(SIZES["quick"], [], x)
    own = basis.c.T @ x.T @ x @ basis.c / 4
    np.testing.assert_allclose(own, np.diag(basis.eigenvalues), atol=1e-12)


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        STUDY.run(TINY, tmp_path / "new", quick=True)
    record = json.loads((tmp_path / "new" / "results.json").read_text())["measured"]
    assert np.shape(record["shares"]["local"]) == (2, 3)
    assert np.all(np.array(record["counts"]["neurons"]) > 0)
    assert max(record["eigenvalues"]) < 1e-6
