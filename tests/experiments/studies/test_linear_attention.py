"""The study on linear attention: its entropies and patches, and a tiny run."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.studies.linear_attention import measure, network
from experiments.studies.linear_attention.__main__ import STUDY
from experiments.studies.linear_attention.config import SIZES

TINY = dataclasses.replace(SIZES["quick"], width=4, heads=1, steps=2, batch=2, side=4)


def test_entropies_are_of_the_rows_and_of_nothing_undefined():
    weights = jnp.array([[1.0, 1.0], [3.0, 0.0], [0.0, 0.0]])
    found = np.asarray(measure.entropies(weights))
    np.testing.assert_allclose(found[:2], [np.log(2), 0], atol=1e-7)
    assert np.isnan(found[2])


def test_patches_are_squares_of_an_image():
    image = np.arange(64.0).reshape(1, 64)
    found = np.asarray(network.patches(jnp.asarray(image), 2))
    assert found.shape == (1, 16, 4)
    assert found[0, 1].tolist() == [2, 3, 10, 11]
    assert found[0, 4].tolist() == [16, 17, 24, 25]


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        STUDY.run(TINY, tmp_path / "new", quick=True)
    record = json.loads((tmp_path / "new" / "results.json").read_text())["measured"]
    for group in record.values():
        assert set(group) == set(network.ATTENTIONS)
        assert np.shape(group["softmax"]) == (1, 2)
        assert np.all(np.isfinite(list(group.values())))
