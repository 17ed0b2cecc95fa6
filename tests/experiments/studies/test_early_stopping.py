"""The study on early stopping: what a rule keeps, and the claims."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from experiments.studies.early_stopping.__main__ import STUDY
from experiments.studies.early_stopping.claims import claims
from experiments.studies.early_stopping.config import SIZES
from experiments.studies.early_stopping.measure import (
    ABE,
    BEST,
    VALIDATION,
    Measured,
    kept,
)
from jaxopt_lab.controllers import activation_stopping, validation_stopping

TINY = dataclasses.replace(SIZES["quick"], width=4, checkpoints=4, judged=2, given=1)


def test_abe_stops_where_the_target_turns_back():
    accuracy = np.arange(9.0)
    source = np.tile(accuracy[:, None, None], (1, 4, 1))
    target = np.where(source < 5, source, 10 - source)
    assert kept(validation_stopping(), accuracy, source, target) == 8
    assert kept(activation_stopping(), accuracy, source, target) in (4, 5)
    assert kept(activation_stopping(float("inf")), accuracy, source, target) == 8


def test_a_claim_is_of_the_errors_at_the_checkpoints():
    errors = np.array([[4.0, 1.0, 2.0], [3.0, 2.0, 6.0]])
    rules = {
        VALIDATION: np.array([2, 2]),
        ABE: np.array([1, 0]),
        BEST: np.array([1, 1]),
    }
    both = {"same": errors, "wider": errors}
    found = claims(Measured(both, dict.fromkeys(both, rules), True), TINY)
    np.testing.assert_allclose(found[0].values, -np.log(2))  # type: ignore
    np.testing.assert_allclose(found[1].values, np.log(2))  # type: ignore
    assert found[0].accepted[1] == np.log1p(0.05) and found[2].right


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        STUDY.run(TINY, tmp_path / "new", quick=True)
    record = json.loads((tmp_path / "new" / "results.json").read_text())
    assert record["measured"]["still"] is True
    assert np.shape(record["measured"]["errors"]["shifted"]) == (2, 4)
