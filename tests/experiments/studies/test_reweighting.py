"""The study on weights by losses: its training examples, and a tiny run."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from experiments.studies.reweighting import measure
from experiments.studies.reweighting.__main__ import STUDY
from experiments.studies.reweighting.config import SIZES

TINY = dataclasses.replace(
    SIZES["quick"], width=2, pool=40, originals=5, steps=3, first=1, rates=(0.1, 0.3)
)


def test_half_of_the_pool_are_copies_or_a_part_of_the_labels_is_wrong():
    labels = np.arange(100, dtype=np.int32) % 10
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        draw = jax.jit(
            lambda labels, n: measure.pool(jax.random.key(0), labels, n, TINY)
        )
        copied, noisy = draw(labels, np.bool_(False)), draw(labels, np.bool_(True))
    places, counts = np.unique(copied.places, return_counts=True)
    assert len(places) == 25 and sorted(counts)[-5:] == [4] * 5
    assert np.array_equal(copied.labels, labels[np.asarray(copied.places)])
    assert np.sum(copied.marked) == 20 and len(np.unique(noisy.places)) == 40
    wrong = np.asarray(noisy.labels) != labels[np.asarray(noisy.places)]
    assert np.array_equal(wrong, noisy.marked) and np.sum(wrong) == 8


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        STUDY.run(TINY, tmp_path / "new", quick=True)
    record = json.loads((tmp_path / "new" / "results.json").read_text())
    assert np.shape(record["measured"]["accuracy"]["linupper"]) == (4, 2, 2)
    assert np.all(np.asarray(record["measured"]["share"]["uniform"]) == 1)
