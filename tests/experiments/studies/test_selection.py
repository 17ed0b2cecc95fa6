"""The study on the selection of networks: its tasks, and a tiny run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.studies.programs import Labelled
from experiments.studies.selection.__main__ import STUDY
from experiments.studies.selection.claims import correlations
from experiments.studies.selection.config import SIZES
from experiments.studies.selection.measure import SOURCES, Measured, tasks

CONFIG = SIZES["quick"]


def test_correlations_are_over_the_sources():
    accuracy = np.array([[0.1, 0.9], [0.5, 0.5], [0.9, 0.1]])
    scores = {"PARC": np.array([[1.0, 1.0], [2.0, 2.0], [9.0, 3.0]])}
    found = correlations(Measured(accuracy, scores))
    np.testing.assert_allclose(found["PARC"], [1, -1])


@pytest.mark.full
def test_tasks_are_made_of_the_same_images():
    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(30, 64)), rng.integers(5, 10, 30)
    data = Labelled(jnp.asarray(images), jnp.asarray(labels))
    first = Labelled(data.inputs[::-1], data.labels - 5)
    with jax.numpy_rank_promotion("allow"):
        inputs, own = jax.tree.map(np.asarray, tasks(jax.random.key(0), first, data))
    assert inputs.shape == (len(SOURCES), 30, 64)
    turned = np.rot90(images.reshape(-1, 8, 8), axes=(1, 2)).reshape(-1, 64)
    np.testing.assert_array_equal(inputs[0], images[::-1])
    np.testing.assert_array_equal(own[0], labels - 5)
    np.testing.assert_array_equal(inputs[1], turned[::-1])
    np.testing.assert_array_equal(own[1], labels - 5)
    np.testing.assert_array_equal(inputs[3], turned)
    once = own[4] == 1
    np.testing.assert_array_equal(inputs[4][once], turned[once])
    np.testing.assert_array_equal(own[5], labels % 2)
    np.testing.assert_array_equal(np.sort(inputs[6]), np.sort(images))


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        found = STUDY.run(CONFIG, tmp_path / "new", quick=True)
    accuracy, scores = found.measured
    assert accuracy.shape == (len(SOURCES), 2) and (accuracy > 0).all()
    assert all(np.isfinite(values).all() for values in scores.values())
    assert (tmp_path / "new" / "scores.png").is_file()
