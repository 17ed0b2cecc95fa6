"""The study on regularizers: its settings and its choice, and a tiny run."""

import jax
import numpy as np
import pytest

from experiments.studies.regularizers.__main__ import STUDY
from experiments.studies.regularizers.claims import claims
from experiments.studies.regularizers.config import PLAIN, SIZES, STRENGTHS
from experiments.studies.regularizers.measure import Measured, settings

CONFIG = SIZES["quick"]


def test_a_setting_has_one_regularizer_and_strengths_are_chosen_on_other_seeds():
    strengths, places = settings()
    rows = np.stack(strengths)
    assert (np.count_nonzero(rows, axis=0) == [0] + [1] * 9).all()
    np.testing.assert_allclose(rows[1, places["weight decay"]], (0.01, 0.1, 1.0))
    values = np.zeros((3, 2, 4))
    values[1, :, :2] = 0.5  # the best of the seeds that choose
    values[1, :, 2:] = 0.1
    values[2, :, 2:] = 0.9
    accuracy = {**dict.fromkeys(STRENGTHS, values), PLAIN: np.zeros((1, 2, 4))}
    found = claims(Measured(accuracy), CONFIG)
    np.testing.assert_allclose(np.array(found[0].values), [0.1, 0.1])
    assert len(found) == 2 * 5 + 1


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        found = STUDY.run(CONFIG, tmp_path / "new", quick=True)
    accuracy = found.measured.accuracy
    assert accuracy["SHADE"].shape == (3, 2, 4)
    assert (accuracy[PLAIN] > 0).all()
    assert (tmp_path / "new" / "accuracy.png").is_file()
