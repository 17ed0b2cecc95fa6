"""The study on noisy hardware: its choice, MemSE on a linear layer, and a tiny run."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from experiments.studies.noisy_hardware import measure
from experiments.studies.noisy_hardware.__main__ import STUDY
from experiments.studies.noisy_hardware.config import SIZES

TINY = dataclasses.replace(SIZES["quick"], seeds=2, steps=2, width=3)


def test_the_radius_is_chosen_on_the_first_half():
    values = np.zeros((4, 3, 2))
    values[:2, 1], values[2:, 2] = 0.5, 0.9
    assert measure.chosen(values) == 1


@pytest.mark.full
def test_the_prediction_for_a_linear_layer_is_the_formula():
    rng = np.random.default_rng(0)
    w, x = rng.normal(size=(5, 4)), rng.normal(size=(6, 5))
    with jax.numpy_rank_promotion("allow"):
        params = {"kernel_0": w}
        found = measure.predicted_error(params, x, 0.02)
    spread = 2 * (0.02 * np.abs(w).max()) ** 2
    want = 4 * spread * np.sum(x**2) / np.sum((x @ w) ** 2)
    np.testing.assert_allclose(found, want, rtol=1e-3)


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        STUDY.run(TINY, tmp_path / "new", quick=True)
    record = json.loads((tmp_path / "new" / "results.json").read_text())
    for method in measure.METHODS:
        assert np.shape(record["measured"]["accuracy"][method]) == (1, 2)
        assert record["measured"]["predicted"][method][0] > 0
    assert (tmp_path / "new" / "noise.png").read_bytes().startswith(b"\x89PNG")
