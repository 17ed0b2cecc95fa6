"""The study on quantization after the training: its grams, and a tiny run."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from experiments.studies.post_training import measure
from experiments.studies.post_training.__main__ import STUDY
from experiments.studies.post_training.config import SIZES
from jaxopt_lab.catalog import of_kind

TINY = dataclasses.replace(SIZES["quick"], bits=(3,), steps=3)


def test_gram_matrices_are_those_of_the_inputs_of_layers():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6, 3))
    square = [{"kernel": np.eye(3), "bias": np.zeros(3)}] * 3
    with jax.numpy_rank_promotion("allow"):
        one, two = measure.grams(square, x)
    np.testing.assert_allclose(one, x.T @ x, rtol=1e-6)
    y = np.maximum(x, 0)
    np.testing.assert_allclose(two, y.T @ y, rtol=1e-6)


def test_all_quantizers_of_the_catalog_take_part():
    assert set(measure.METHODS) == set(of_kind("quantizer"))
    assert measure.methods(4) == [*measure.methods(8), "jlcm"]


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        STUDY.run(TINY, tmp_path / "new", quick=True)
    record = json.loads((tmp_path / "new" / "results.json").read_text())
    error = record["measured"]["error"]["3"]
    assert list(error) == list(measure.METHODS)
    assert np.all(np.array(error["gptq"]) > 0)
    assert (tmp_path / "new" / "errors.png").read_bytes().startswith(b"\x89PNG")
