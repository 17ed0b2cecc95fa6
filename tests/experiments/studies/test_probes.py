"""The study on probes: its measure of labels, and a tiny run."""

import dataclasses

import jax
import numpy as np
import pytest

from experiments.studies.probes.__main__ import STUDY
from experiments.studies.probes.claims import claims, n95
from experiments.studies.probes.config import EPS, SIZES
from experiments.studies.probes.measure import LOGISTIC, Measured


def test_labels_are_counted_up_to_95_per_cent_of_the_last_accuracy():
    accuracy = np.array([[0.95, 0.2], [0.8, 0.949], [1.0, 1.0]])
    assert n95(accuracy, (10, 20, 50)).tolist() == [10, 50]
    config = dataclasses.replace(SIZES["quick"], counts=(10, 20, 50))
    probes = {**dict.fromkeys(EPS, accuracy), LOGISTIC: accuracy - 0.1}
    found = claims(Measured({"pixels": probes}), config)
    assert len(found) == 3 * len(EPS)
    values = [np.array(claim.values) for claim in found]
    np.testing.assert_allclose(values[1], [0.1, 0.1])
    np.testing.assert_allclose(values[2], [-0.1, -0.1])


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        found = STUDY.run(SIZES["quick"], tmp_path / "new", quick=True)
    for probes in found.measured.accuracy.values():
        for values in probes.values():
            assert values.shape == (2, 2) and (values > 0.05).all()
    assert (tmp_path / "new" / "accuracy.png").is_file()
