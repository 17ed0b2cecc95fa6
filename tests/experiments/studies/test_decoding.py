"""The study on decoding: its schedules, its counts, and a run at the quick size."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from experiments.studies.decoding import measure, networks
from experiments.studies.decoding.__main__ import STUDY
from experiments.studies.decoding.config import SIZES


def test_the_early_exit_costs_as_much_as_the_schedule():
    for config in SIZES.values():
        found = networks.schedules(config, config.context)
        assert found["skip"].sum() == found["exit"].sum()
        # The first layers alone, and at least one.
        assert np.all(found["exit"][:, 0])
        assert np.all(found["exit"][:, :-1] >= found["exit"][:, 1:])
        assert np.abs(np.diff(found["exit"].sum(1))).max() <= 1


def test_ties_explain_a_difference():
    plain, other = np.array([[1, 2, 3], [1, 2, 3]]), np.array([[1, 2, 3], [1, 0, 3]])
    logits = np.zeros((2, 3, 4))
    logits[1, 0, 2] = 1e-6
    of = lambda gap: measure._differences(plain, other, lambda x: logits * gap)
    assert of(1.0) == (1, 0) and of(100.0) == (1, 1)
    assert measure._differences(plain, plain, None) == (0, 0)


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    tiny = dataclasses.replace(SIZES["quick"], width=8, steps=2, tuning=2, new=3)
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        STUDY.run(tiny, tmp_path / "new", quick=True)
    record = json.loads((tmp_path / "new" / "results.json").read_text())["measured"]
    assert record["unexplained"] == [0]
    assert record["per_call"]["greedy"] == [1]
    assert {"speculative", "pool", "skip", "credit"} < set(record["per_call"])
