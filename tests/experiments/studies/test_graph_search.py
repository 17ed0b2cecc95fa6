"""The study on searches of graph layers: its parts, and a tiny run."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from experiments.studies.graph_search import measure, training
from experiments.studies.graph_search.__main__ import STUDY
from experiments.studies.graph_search.config import SIZES
from jaxopt_lab.search import candidate_at

TINY = dataclasses.replace(SIZES["quick"], seeds=5, budget=3, steps=2)


def test_no_node_is_in_two_parts():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(90, 64)).astype(np.float32), np.arange(90) % 10
    nodes = training.nodes_of(TINY, 0, x, y)
    np.testing.assert_array_equal(nodes.parts.sum(0), 1)
    assert nodes.parts.sum(1).tolist() == [20, 30, 30]


def test_a_candidate_is_a_cell_for_each_layer():
    space = training.space(TINY)
    first, last = training.cells(candidate_at(space, [0.0] * 4 + [0.9999] * 4))
    assert first == (0, 0, 0, 1) and last == (6, 2, 7, 8)


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        STUDY.run(TINY, tmp_path / "new")
    record = json.loads((tmp_path / "new" / "results.json").read_text())
    measured = record["measured"]
    assert set(measured["test"]) == {*measure.SEARCHES, *measure.KNOWN}
    for curve in measured["curve"].values():
        assert np.shape(curve) == (5, 3) and np.all(np.diff(curve) >= 0)
    assert measured["compilations"] == 1
    for name in ("test", "curves"):
        head = (tmp_path / "new" / f"{name}.png").read_bytes()
        assert head.startswith(b"\x89PNG")
