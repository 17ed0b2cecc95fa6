"""The study on small batches: its convolution, and a tiny run."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from experiments.studies import normed
from experiments.studies.small_batches.__main__ import STUDY
from experiments.studies.small_batches.config import SIZES

TINY = dataclasses.replace(SIZES["quick"], seen=8, batches=(4,))


def test_a_product_with_patches_is_a_convolution():
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(2, 4, 4, 3)), rng.normal(size=(3, 3, 3, 5))
    found = np.asarray(normed.patches(x, 2)) @ kernel.reshape(27, 5)
    wide = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    for i, j in ((0, 0), (1, 0), (1, 1)):
        near = wide[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
        wanted = np.einsum("bhwc,hwco->bo", near, kernel)
        np.testing.assert_allclose(found[:, i, j], wanted, rtol=1e-9)


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        STUDY.run(TINY, tmp_path / "new", quick=True)
    record = json.loads((tmp_path / "new" / "results.json").read_text())
    found = record["measured"]["accuracy"]
    assert np.shape(found["4"]["BN"]) == np.shape(found["4"]["WS + BCN"]) == (2, 1)
