"""The study on wrong labels: its labels, and a tiny run."""

import jax
import numpy as np
import pytest

from experiments.studies.wrong_labels.__main__ import STUDY
from experiments.studies.wrong_labels.claims import claims
from experiments.studies.wrong_labels.config import SIZES
from experiments.studies.wrong_labels.measure import (
    DROPOUT,
    NESTED,
    PLAIN,
    SAM,
    TAUGHT,
    Measured,
    flipped,
)

CONFIG = SIZES["quick"]


def test_claims_are_paired():
    accuracy = {
        PLAIN: np.array([0.1, 0.2]),
        DROPOUT: np.array([0.2, 0.1]),
        SAM: np.array([0.3, 0.3]),
        NESTED: np.array([0.4, 0.6]),
        TAUGHT: np.array([0.5, 0.9]),
    }
    prefixes = np.array([[0.4, 0.6], [0.3, 0.2]])
    found = claims(Measured(accuracy, prefixes, np.ones(2)), CONFIG)
    wanted = [[0.3, 0.4], [0.2, 0.5], [0.1, 0.3], [0.2, 0.1], [0.1, 0.4]]
    np.testing.assert_allclose([np.array(c.values) for c in found], wanted)


@pytest.mark.full
def test_wrong_labels_are_of_all_other_classes():
    labels = np.arange(5000, dtype=np.int32) % 10
    found = np.asarray(jax.jit(flipped)(jax.random.key(0), labels, 0.4))
    wrong = found != labels
    assert abs(wrong.mean() - 0.4) < 0.03
    counts = np.bincount((found - labels)[wrong] % 10, minlength=10)
    assert counts[0] == 0 and counts[1:].min() > 170


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        found = STUDY.run(CONFIG, tmp_path / "new", quick=True)
    assert len(found.measured.accuracy) == 5
    assert found.measured.prefixes.shape == (8, 2)
    for values in found.measured.accuracy.values():
        assert values.shape == (2,) and (values > 0).all()
    assert (tmp_path / "new" / "features.png").is_file()
