"""The study on calibration: its claims, and a tiny run."""

import jax
import numpy as np
import pytest

from experiments.studies.calibration.__main__ import STUDY
from experiments.studies.calibration.claims import ECE, claims
from experiments.studies.calibration.config import SIZES
from experiments.studies.calibration.measure import (
    CROSS_ENTROPY,
    NONE,
    PLAIN,
    TEMPERATURE,
    Measured,
    losses,
)

CONFIG = SIZES["quick"]


def test_a_claim_is_of_what_a_calibrator_takes_away():
    value = iter(np.arange(100.0))

    def row():
        names = (ECE, "classwise_calibration_error", CROSS_ENTROPY, "accuracy")
        return {name: np.full(2, next(value)) for name in names}

    measured = {
        loss: {name: row() for name in (NONE, TEMPERATURE)} for loss in losses(CONFIG)
    }
    found = claims(Measured(measured), CONFIG)
    before, after = (measured[PLAIN][n][ECE] for n in (NONE, TEMPERATURE))
    np.testing.assert_array_equal(np.array(found[0].values), before - after)
    assert [c.where for c in found].count("RankMixup, gain") == 5


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        found = STUDY.run(CONFIG, tmp_path / "new", quick=True)
    for by_name in found.measured.values.values():
        for values in by_name.values():
            assert np.shape(values[ECE]) == (2,)
    assert (tmp_path / "new" / "errors.png").is_file()
