"""The study on statistics in continual learning: its tasks, and a tiny run."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from experiments.studies.continual_statistics import measure
from experiments.studies.continual_statistics.__main__ import STUDY
from experiments.studies.continual_statistics.config import SIZES

TINY = dataclasses.replace(SIZES["quick"], width=3, steps=2, batch=4, replayed=4)


def test_a_task_has_its_two_classes():
    labels = np.arange(40, dtype=np.int32) % 10
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        draw = jax.jit(lambda x: measure.task_batches(jax.random.key(0), x, TINY))
        places, tasks = (np.asarray(x) for x in draw(labels))
    assert places.shape == (10, 4) and tasks.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert np.array_equal(labels[places] // 2, np.tile(tasks[:, None], 4))


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        STUDY.run(TINY, tmp_path / "new", quick=True)
    record = json.loads((tmp_path / "new" / "results.json").read_text())["measured"]
    for values in record.values():
        assert set(values) == set(measure.ARMS)
        assert np.shape(values["AdaB2N"]) == (2, 1)
        assert np.all(np.isfinite(list(values.values())))
