"""The study on depth at a tiny size, and its measures."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.studies.depth import measure
from experiments.studies.depth.__main__ import STUDY
from experiments.studies.depth.config import SIZES

TINY = dataclasses.replace(
    SIZES["quick"], width=4, depth=2, length=4, batch=2, tokens=4, steps=2, last=1
)


def test_the_ratio_is_of_the_outer_quarters():
    grads = {"blocks": {str(i): {"w": jnp.full(3, 2.0**i)} for i in range(8)}}
    wanted = np.sqrt((2.0**12 + 2.0**14) / (1 + 2.0**2))
    np.testing.assert_allclose(measure.quarters(grads, 8), wanted, rtol=1e-6)


def test_a_block_without_its_modules_gives_nothing():
    block = {"attention_out": {"kernel": np.ones(2)}, "mlp_out": {"kernel": np.ones(2)}}
    params = {"blocks": {"0": {**block, "qkv": np.ones(1)}, "1": block}, "head": 1}
    fewer = measure.without_block(params, 0)
    assert not np.any(fewer["blocks"]["0"]["mlp_out"]["kernel"])
    assert fewer["blocks"]["1"] == block and np.all(fewer["blocks"]["0"]["qkv"])


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        STUDY.run(TINY, tmp_path / "new", quick=True)
    record = json.loads((tmp_path / "new" / "results.json").read_text())
    for values in record["measured"].values():
        assert set(values) == {"pre", "mix", "lns"}
        assert np.all(np.isfinite(list(values.values())))
