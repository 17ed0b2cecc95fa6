"""The study on class-incremental learning: its attributes, means and claims."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from experiments.studies.class_incremental.__main__ import STUDY
from experiments.studies.class_incremental.claims import claims
from experiments.studies.class_incremental.config import SIZES
from experiments.studies.class_incremental.measure import Measured, after_tasks
from experiments.studies.class_incremental.network import ATTRIBUTES, by_class
from experiments.studies.programs import Labelled

TINY = dataclasses.replace(SIZES["quick"], width=4, features=3, batch=4, steps=2, fit=1)


def test_segments_differ_and_eight_lights_all():
    assert len({tuple(row) for row in ATTRIBUTES}) == 10
    assert ATTRIBUTES.sum(axis=1).tolist() == [6, 2, 5, 5, 4, 5, 6, 3, 7, 6]


def test_classes_have_as_many_examples():
    labels = np.arange(23) % 10
    found = by_class(Labelled(np.arange(23.0)[:, None], labels))  # type: ignore
    np.testing.assert_array_equal(found[:, :, 0], [[c, c + 10] for c in range(10)])


def test_means_are_over_the_classes_seen():
    accuracy = np.zeros((1, 5, 10))
    accuracy[0, 1, :4] = [1, 1, 0, 0]
    accuracy[0, 4] = 1
    assert after_tasks(accuracy).tolist() == [[0, 0.5, 0, 0, 1]]
    arms = ("fine-tuning", "replay", "proxies", "podnet", "ghost")
    levels = {a: np.full((5, 5, 10), 0.1 * i) for i, a in enumerate(arms)}
    levels["fine-tuning"][:, 0, :2] = 1
    found = claims(Measured(levels), SIZES["quick"])
    gains = [np.mean(np.asarray(c.values, float)) for c in found]
    np.testing.assert_allclose(gains, [-0.1, 0.2, 0.1, 0.1, 1], atol=1e-12)


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        STUDY.run(TINY, tmp_path / "new", quick=True)
    record = json.loads((tmp_path / "new" / "results.json").read_text())
    for values in record["measured"]["accuracy"].values():
        assert np.shape(values) == (2, 5, 10)
