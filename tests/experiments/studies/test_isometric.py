"""The study on isometric embeddings at a tiny size, and its graphs."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from experiments.studies.isometric import measure
from experiments.studies.isometric.__main__ import STUDY
from experiments.studies.isometric.config import SIZES

TINY = dataclasses.replace(SIZES["quick"], side=3, levels=3, pairs=16, steps=2)
TINY = dataclasses.replace(TINY, held_out=0.2, landmarks=2, width=2)


def test_graphs_are_a_grid_and_a_tree():
    edges = measure.grid_edges(3)
    assert len(edges) == 12 and edges.max() == 8
    assert sorted(np.bincount(edges.ravel()).tolist()) == [2] * 4 + [3] * 4 + [4]
    edges = measure.tree_edges(3)
    assert len(edges) == 6 and np.bincount(edges.ravel()).tolist() == [
        2,
        3,
        3,
        *[1] * 4,
    ]


def test_people_of_a_novel_are_each_others_neighbours():
    pytest.importorskip("networkx")
    edges = measure.novel_edges()
    assert edges.shape == (254, 2) and edges.max() == 76
    assert len(np.unique(edges, axis=0)) == 254


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        STUDY.run(TINY, tmp_path / "new", quick=True)
    record = json.loads((tmp_path / "new" / "results.json").read_text())
    for key in ("tau", "auc"):
        assert set(record["measured"][key]) == {"grid", "tree"}
        for arms in record["measured"][key].values():
            assert list(arms) == list(measure.ARMS)
            assert np.all(np.isfinite(list(arms.values())))
    assert (tmp_path / "new" / "tau.png").read_bytes().startswith(b"\x89PNG")
