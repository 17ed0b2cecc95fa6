"""The study on videos: its clips, its budgets, its claims."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from experiments.studies.video.__main__ import STUDY
from experiments.studies.video.claims import claims
from experiments.studies.video.clip import clip
from experiments.studies.video.config import SIZES
from experiments.studies.video.measure import HNERV, NERV, Measured, network
from experiments.video.hnerv import stored_numbers

TINY = dataclasses.replace(SIZES["quick"], steps=2)


def test_clips_move_slowly_and_differ():
    config = SIZES["standard"]
    one, other = clip(0, config), clip(1, config)
    assert one.shape == (9, 16, 24, 3) and one.dtype == np.float32
    assert one.min() >= 0 and one.max() <= 1
    apart = lambda a, b: np.mean((a - b) ** 2)
    steps = [apart(a, b) for a, b in zip(one[1:], one[:-1], strict=True)]
    assert 0 < max(steps) < apart(one[0], one[4]) < 2 * apart(one, other)


def test_networks_fill_their_budgets():
    config = SIZES["standard"]
    for name in (HNERV, NERV):
        budget = config.budgets[0]
        used = stored_numbers(network(name, budget, config), 5)
        assert 0.8 * budget < used <= budget


def test_claims_hold_for_every_budget():
    values = {HNERV: np.array([[30.0, 31.0], [34.0, 35.0]])}
    values[NERV] = values[HNERV] - 2
    less = {name: x - 0.5 for name, x in values.items()}
    near, between, cost = claims(Measured(values, values, less, values), TINY)
    np.testing.assert_allclose(near.values, np.full((2, 2), 2.0))  # type: ignore
    np.testing.assert_allclose(between.values, near.values)  # type: ignore
    np.testing.assert_allclose(cost.values, np.full((2, 2), 0.5))  # type: ignore


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        STUDY.run(TINY, tmp_path / "new", quick=True)
    record = json.loads((tmp_path / "new" / "results.json").read_text())
    for values in record["measured"].values():
        assert np.all(np.isfinite(values[HNERV])) and np.shape(values[NERV]) == (1, 1)
