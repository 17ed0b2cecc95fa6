"""The study on decoupled training: its cell and its claims."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from experiments.studies.decoupled_training import windows
from experiments.studies.decoupled_training.__main__ import STUDY
from experiments.studies.decoupled_training.claims import claims
from experiments.studies.decoupled_training.config import SIZES
from experiments.studies.decoupled_training.measure import Measured
from experiments.studies.decoupled_training.modules import ARMS

TINY = dataclasses.replace(
    SIZES["quick"], width=4, hidden=4, batch=4, steps=3, units=2, sequences=3
)


def test_the_cell_is_an_lstm():
    rng = np.random.default_rng(0)
    kernel, bias = rng.normal(size=(5, 12)), rng.normal(size=12)
    state, x = rng.normal(size=(4, 6)), rng.normal(size=(4, 2))
    params = {"cell": [{"kernel": kernel, "bias": bias}]}
    with jax.numpy_rank_promotion("allow"):
        found = jax.jit(windows.lstm)(params, state, x)
    sigmoid = lambda v: 1 / (1 + np.exp(-v))
    gates = np.concatenate([x, state[:, :3]], axis=1) @ kernel + bias
    take, keep, give, new = np.split(gates, 4, axis=1)
    c = sigmoid(keep + 1) * state[:, 3:] + sigmoid(take) * np.tanh(new)
    wanted = np.concatenate([sigmoid(give) * np.tanh(c), c], axis=1)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_claims_compare_the_arms_by_name():
    levels = (0.95, 0.9, 0.5, 0.4, 0.9, 0.94)
    accuracy = {n: np.full(5, x) for n, x in zip(ARMS, levels, strict=True)}
    both = {windows.TRUNCATED: np.full(5, 1.0), windows.SYNTHETIC: np.full(5, 0.25)}
    config = SIZES["standard"]
    each = {str(n): both for n in (2, 4, 12)}
    same, *rest = claims(Measured(accuracy, 0.0, each), config)
    gains = [np.mean(np.asarray(c.values, float)) for c in rest]
    np.testing.assert_allclose(gains, [0.54, 0.44, -0.01, 0.25, 0.25], atol=1e-12)
    assert same.right and rest[2].accepted[0] == -0.02


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        STUDY.run(TINY, tmp_path / "new", quick=True)
    record = json.loads((tmp_path / "new" / "results.json").read_text())
    assert record["measured"]["gap"] == 0
    assert set(record["measured"]["losses"]) == {"2", "4"}
