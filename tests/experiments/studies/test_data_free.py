"""The study on calibration without data: its two convolutions, and a tiny run."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.studies.data_free import measure, network
from experiments.studies.data_free.__main__ import STUDY
from experiments.studies.data_free.config import SIZES

TINY = dataclasses.replace(SIZES["quick"], steps=2, distilling=2, learned=2)


@pytest.mark.full
@pytest.mark.parametrize("stride", [1, 2])
def test_a_convolution_is_the_product_with_patches(stride):
    rng = np.random.default_rng(stride)
    x, kernel = rng.normal(size=(2, 4, 4, 3)), rng.normal(size=(27, 5))
    one = network.product(x, kernel, stride)
    two = network.convolution(jnp.asarray(x), jnp.asarray(kernel), stride)
    np.testing.assert_allclose(one, two, rtol=1e-9)


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        STUDY.run(TINY, tmp_path / "new", quick=True)
    record = json.loads((tmp_path / "new" / "results.json").read_text())["measured"]
    (methods,) = record["accuracy"].values()
    assert set(methods) == set(measure.METHODS)
    assert set(methods["nearest"]) == {*measure.KINDS, measure.NONE}
    size = [9 * a * b for a, b in zip((2, 3, 2), (3, 2, 4), strict=True)]
    for bits in record["bits"]:
        assert np.dot(bits, size) <= TINY.mean_bits * sum(size)
    assert (tmp_path / "new" / "accuracy.png").read_bytes().startswith(b"\x89PNG")
