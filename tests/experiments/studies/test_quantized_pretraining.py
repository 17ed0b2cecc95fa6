"""The study on quantized training: progress, what is rounded, and a tiny run."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.applications import text_model
from experiments.studies.quantized_pretraining import claims, measure
from experiments.studies.quantized_pretraining.__main__ import STUDY
from experiments.studies.quantized_pretraining.config import SIZES
from jaxopt_lab.quantize import LinearGrid

TINY = dataclasses.replace(SIZES["quick"], steps=2, held=2, width=4, context=4)


def test_a_run_without_a_finite_loss_has_made_no_progress():
    start, plain = np.full(3, 5.0), np.full(3, 2.0)
    found = {"float": plain, "other": np.array([np.nan, 6.0, 3.5])}
    measured = measure.Measured(start, found, {})
    np.testing.assert_allclose(claims.progress(measured, "other"), [0, 0, 0.5])
    assert np.isnan(claims.excess(measured, "other")[0])


def test_every_arm_of_the_standard_size_is_there():
    assert SIZES["standard"].arms == tuple(measure.ARMS)
    assert set(SIZES["quick"].arms) < set(measure.ARMS)


@pytest.mark.full
def test_linear_layers_alone_are_rounded():
    params = text_model.init(np.random.default_rng(0), measure.shape_of(TINY))
    tokens = jnp.arange(6).reshape(2, 3)
    grid = LinearGrid(4, min_range=1e-5)
    rounded = {
        "embed": params["embed"],
        "layers": [
            {n: np.asarray(grid.encode(w.T).dequantize().T) for n, w in layer.items()}
            for layer in params["layers"]
        ],
    }
    with jax.numpy_rank_promotion("allow"), jax.enable_x64(False):
        plain, _ = measure.parts_of(TINY, measure.ARMS["float"])
        coarse, _ = measure.parts_of(TINY, measure.ARMS["w4, by outputs"])
        want, found = plain(rounded, tokens), coarse(params, tokens)
    np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-5)


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    given = {"train": np.arange(40) % 7, "held": np.arange(20) % 5}
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        options = measure.prepare(TINY)[1]
        assert set(options) == set(given)
        STUDY.run(TINY, tmp_path / "new", quick=True)
    record = json.loads((tmp_path / "new" / "results.json").read_text())["measured"]
    assert set(record["losses"]) == set(TINY.arms)
    assert np.all(np.isfinite(record["start"]))
    assert (tmp_path / "new" / "losses.png").read_bytes().startswith(b"\x89PNG")
