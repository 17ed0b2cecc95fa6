"""The study on few labels: its batches, and a tiny run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.studies.few_labels.__main__ import STUDY
from experiments.studies.few_labels.config import SIZES
from experiments.studies.few_labels.measure import together

CONFIG = SIZES["quick"]


def test_examples_without_labels_stand_behind_those_with():
    rng = np.random.default_rng(0)
    given = {
        "image": rng.normal(size=(3, 2, 4, 4, 1)),
        "label": rng.integers(0, 10, (3, 2)),
        "weak": rng.normal(size=(3, 2, 2, 4, 4, 1)),
        "strong": rng.normal(size=(3, 2, 2, 4, 4, 1)),
    }
    found = together({n: jnp.asarray(x) for n, x in given.items()})
    assert found["label"].shape == (3, 6)
    assert (np.asarray(found["label"])[:, 2:] == -1).all()
    np.testing.assert_array_equal(found["image"][:, :2], found["other"][:, :2])
    np.testing.assert_array_equal(found["image"][1, 5], given["strong"][1, 1, 1])
    np.testing.assert_array_equal(found["other"][1, 4], given["weak"][1, 1, 0])


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        found = STUDY.run(CONFIG, tmp_path / "new", quick=True)
    assert len(found.measured.accuracy) == 5
    for values in found.measured.accuracy.values():
        assert values.shape == (2,) and (values > 0).all()
    assert (tmp_path / "new" / "accuracy.png").is_file()
