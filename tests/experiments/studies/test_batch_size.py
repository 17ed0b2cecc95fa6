"""The study on the batch: schedules and rules, and a tiny run."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from experiments.studies.batch_size import ghosts, growth, measure
from experiments.studies.batch_size.__main__ import STUDY
from experiments.studies.batch_size.config import SIZES

TINY = dataclasses.replace(
    SIZES["quick"], width=2, budget=64, examples=64, large=32, small=8, epochs=2
)


def test_as_many_steps_follow_the_schedule_of_the_small_batch():
    small, steps = ghosts.schedule(ghosts.SMALL, TINY)
    regime, more = ghosts.schedule(ghosts.REGIME, TINY)
    assert steps == more == 16 and ghosts.schedule(ghosts.LARGE, TINY)[1] == 4
    ratios = [float(regime(t) / small(t)) for t in range(16)]
    np.testing.assert_allclose(ratios, 2.0, rtol=1e-6)


def test_the_folder_of_fashion_mnist_is_part_of_the_settings(tmp_path):
    config, given = measure.prepare(TINY, str(tmp_path))
    assert config.data == "fashion" and given == {"fashion": tmp_path}
    assert measure.prepare(TINY) == (TINY, {})
    assert list(growth.controllers(TINY)) == ["growing", "fixed 8", "fixed 32"]


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        STUDY.run(TINY, tmp_path / "new", quick=True)
    record = json.loads((tmp_path / "new" / "results.json").read_text())["measured"]
    assert np.shape(record["accuracy"]["growing"]) == (2, 1)
    assert np.all(np.asarray(record["steps"]["fixed 8"]) == 8)
    assert np.all(np.asarray(record["last"]["fixed 32"]) == 32)
    assert set(record["ghosts"]) == set(ghosts.ARMS)
