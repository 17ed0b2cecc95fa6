"""The study on kernels of depth: its problems, its slopes, and a tiny run."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from experiments.studies.kernels_of_depth import claims, data
from experiments.studies.kernels_of_depth.__main__ import STUDY
from experiments.studies.kernels_of_depth.config import SIZES

TINY = dataclasses.replace(
    SIZES["quick"], widths=(4, 8), points=3, train=20, deepest=3, cubes=2, depths=(2,)
)


def test_a_power_law_has_its_exponent():
    widths = (8, 32, 128)
    errors = np.array([[3 * n**-0.5 for n in widths], [n**-2.0 for n in widths]])
    np.testing.assert_allclose(claims.slopes(widths, errors), [-0.5, -2], rtol=1e-12)


def test_neighbours_are_chosen_without_the_point_itself():
    inner = np.array([[1, 0.9, 0.2], [0.9, 1, 0.1], [0.2, 0.1, 1]])
    labels = np.array([1.0, 1.0, -1.0])
    given = data.Split(inner, inner[:1], labels, labels[:1])
    np.testing.assert_allclose(data.neighbours(given, 3), [1 / 3])
    # The nearest other point is right for two of three, all three points likewise.
    assert data.best_neighbours(given, (1, 3)) == 1
    assert given.error(np.array([-0.5])) == 1


def test_the_planted_classes_are_balanced_and_inputs_are_of_norm_1():
    given = data.planted(np.random.default_rng(0), 200, 100, 0.2)
    assert np.all(np.diag(given.inner) == 1) and given.outer.min() > 0
    assert given.outer.max() < 1 and abs(given.right.mean()) < 0.3


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        STUDY.run(TINY, tmp_path / "new", quick=True)
    record = json.loads((tmp_path / "new" / "results.json").read_text())["measured"]
    assert np.shape(record["kernels"]["relu"]) == (2, 2)
    for group in record.values():
        for values in group.values():
            assert np.all(np.isfinite(values))
