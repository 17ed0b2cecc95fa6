"""The study on gradient noise: its network, and a tiny run."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from experiments.studies.noise import measure
from experiments.studies.noise.__main__ import STUDY
from experiments.studies.noise.config import SIZES

TINY = dataclasses.replace(SIZES["quick"], layers=4, width=3, steps=2)


def test_the_network_is_one_layer_after_another():
    rng = np.random.default_rng(0)
    shapes = {"first": (1, 65, 3), "hidden": (2, 4, 3), "last": (1, 4, 10)}
    params = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    x = rng.normal(size=(5, 64))
    wanted = x
    layers = [*params["first"], *params["hidden"], *params["last"]]
    for i, w in enumerate(layers):
        wanted = wanted @ w[:-1] + w[-1]
        wanted = np.maximum(wanted, 0) if i < 3 else wanted
    with jax.numpy_rank_promotion("allow"):
        found = jax.jit(measure.logits)(params, x)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        STUDY.run(TINY, tmp_path / "new", quick=True)
    record = json.loads((tmp_path / "new" / "results.json").read_text())
    assert np.shape(record["measured"]["accuracy"]) == (2, 3, 2, 1)
