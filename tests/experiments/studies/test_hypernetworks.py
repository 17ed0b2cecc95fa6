"""The study on hypernetworks: its steps and graphs, and a tiny run."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from experiments.studies.hypernetworks import contrasts, initial
from experiments.studies.hypernetworks.__main__ import STUDY
from experiments.studies.hypernetworks.config import SIZES


def test_steps_count_to_the_end_of_the_window():
    config = dataclasses.replace(SIZES["quick"], reached=1.0, window=2)
    losses = np.array([[3.0, 2.0, 1.5, 0.5, 0.1], [3.0] * 5, [1.0] * 5])
    losses = np.concatenate([losses, [[np.nan, 3, 3, 3, 3]]])
    assert contrasts.steps_to(losses, config).tolist() == [4, 5, 2, 5]


def test_the_negative_of_a_contrast_is_the_other_end():
    x = np.array([0.0, 0.25, 1.0])
    np.testing.assert_array_equal(contrasts.with_contrast(x, 1.0), 1 - x)
    np.testing.assert_array_equal(contrasts.with_contrast(x, 0.0), x)


def test_graphs_are_of_both_layers():
    with jax.numpy_rank_promotion("allow"):
        found = initial.graph(5)
    assert found.operations[1:-1] == ("shift", "product", "shift", "product")
    assert found.shapes[1:-1] == ((5,), (64, 5), (10,), (5, 10))


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        STUDY.run(SIZES["quick"], tmp_path / "new", quick=True)
    record = json.loads((tmp_path / "new" / "results.json").read_text())["measured"]
    assert np.shape(record["steps"]["MIP"]) == (2, 2)
    assert np.shape(record["losses"]["random"]) == (1, 1, 2)
    assert np.all(np.isfinite(list(record["losses"].values())))
