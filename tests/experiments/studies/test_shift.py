"""The study on statistics under shift: its streams, and a tiny run."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.studies.fashion import of_eight
from experiments.studies.shift import measure
from experiments.studies.shift.__main__ import STUDY
from experiments.studies.shift.config import SIZES

TINY = dataclasses.replace(SIZES["quick"], steps=2)


def test_a_sorted_stream_has_one_class_after_the_other():
    labels = np.arange(40, dtype=np.int32) % 4
    run = jax.jit(lambda x, flag: measure.stream(jax.random.key(1), x, flag))
    found, shuffled = (np.asarray(run(labels, np.bool_(f))) for f in (True, False))
    assert np.array_equal(np.sort(found), np.arange(40))
    assert np.array_equal(labels[found], np.repeat(np.arange(4), 10))
    first = shuffled[labels[shuffled] == 0]
    assert np.array_equal(found[:10], first) and np.any(np.diff(first) < 0)


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        STUDY.run(TINY, tmp_path / "new", quick=True)
    record = json.loads((tmp_path / "new" / "results.json").read_text())["measured"]
    assert np.shape(record["accuracy"]["digits"]["UnMix-TNS"]) == (2, 2, 1)
    assert np.all(np.isfinite(record["clean"]["digits"]))


def test_images_of_fashion_have_the_size_of_the_digits():
    images = np.zeros((1, 28, 28, 1), np.uint8)
    images[0, 2:6, 2:6] = 255
    found = np.asarray(of_eight(jnp.asarray(images))).reshape(8, 8)
    assert found[1, 1] == 1 and found.sum() == 1
