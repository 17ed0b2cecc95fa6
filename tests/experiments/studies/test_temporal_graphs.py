"""The study on temporal graphs: its streams and scores, and a tiny run."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from experiments.studies.temporal_graphs import streams
from experiments.studies.temporal_graphs.__main__ import STUDY
from experiments.studies.temporal_graphs.config import SIZES
from experiments.studies.temporal_graphs.measure import ARMS, prepare
from jaxopt_lab.core.errors import InputError

TINY = dataclasses.replace(SIZES["quick"], seeds=5, size=2, hidden=2)


def test_a_conversation_goes_on_from_its_last_speaker():
    pairs = streams.synthetic(np.random.default_rng(0), 9, 200)
    assert pairs.shape == (200, 2) and pairs.max() < 9
    np.testing.assert_array_equal(pairs[1:, 0], pairs[:-1, 1])
    assert np.all(pairs[:, 0] != pairs[:, 1])
    others = streams.negatives(np.random.default_rng(1), pairs, 30)
    assert np.all(others[9:] != pairs[9:, 1]) and np.all(others[9:] != pairs[9:, 0])


def test_precision_is_that_of_all_thresholds():
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=7), rng.normal(size=9)
    at = [np.sum(a >= t) / (np.sum(a >= t) + np.sum(b >= t)) for t in a]
    np.testing.assert_allclose(streams.average_precision(a, b), np.mean(at))
    assert streams.average_precision(np.zeros(2), np.zeros(2)) < 0.5


def test_a_play_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        prepare(TINY, text=str(tmp_path / "none"))
    (tmp_path / "short").write_text("A:\nx\n\nB:\ny")
    with pytest.raises(InputError, match="has 1 events; needed: 64"):
        prepare(TINY, text=str(tmp_path / "short"))


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        STUDY.run(TINY, tmp_path / "new")
    record = json.loads((tmp_path / "new" / "results.json").read_text())
    for batch in ("4", "16"):
        gates = record["measured"]["gate"][batch]
        assert list(gates) == list(ARMS)
        assert np.all(np.array(gates["plain"]) == 1)
        assert np.all(np.array(gates["PRES"]) < 0.95)
    assert (tmp_path / "new" / "precision.png").read_bytes().startswith(b"\x89PNG")
