"""The study on depth at a tiny size, and its measures."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.studies.depth import residuals, transformers
from experiments.studies.depth.__main__ import STUDY
from experiments.studies.depth.config import SIZES

TINY = dataclasses.replace(
    SIZES["quick"],
    width=4,
    depth=2,
    length=4,
    batch=2,
    tokens=4,
    steps=2,
    last=1,
    residual_width=4,
    residual_steps=2,
)


def test_the_ratio_is_of_the_outer_quarters():
    grads = {"blocks": {str(i): {"w": jnp.full(3, 2.0**i)} for i in range(8)}}
    wanted = np.sqrt((2.0**12 + 2.0**14) / (1 + 2.0**2))
    np.testing.assert_allclose(transformers.quarters(grads, 8), wanted, rtol=1e-6)


def test_a_block_without_its_modules_gives_nothing():
    block = {"attention_out": {"kernel": np.ones(2)}, "mlp_out": {"kernel": np.ones(2)}}
    params = {"blocks": {"0": {**block, "qkv": np.ones(1)}, "1": block}, "head": 1}
    fewer = transformers.without_block(params, 0)
    assert not np.any(fewer["blocks"]["0"]["mlp_out"]["kernel"])
    assert fewer["blocks"]["1"] == block and np.all(fewer["blocks"]["0"]["qkv"])


def test_the_signal_grows_by_the_scale_as_the_variances_say():
    # E|x_n|^2 = (1 + s^2)^n E|x_0|^2 at the start.
    modules, width, seeds = 8, 64, 64

    @jax.jit
    def growth(arm):
        def one(key):
            params = residuals.first(key, arm, modules, width)
            x = jax.random.normal(key, (4, 64))
            return residuals.outputs(params, x, arm)[1]

        keys = jax.random.split(jax.random.key(0), seeds)
        return jnp.mean(jnp.exp(2 * jax.vmap(one)(keys)))

    for arm, scale in enumerate((1.0, modules**-0.5, 1 / modules, 0.0)):
        wanted = (1 + scale**2) ** modules
        np.testing.assert_allclose(growth(arm), wanted, rtol=0.25)


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        STUDY.run(TINY, tmp_path / "new", quick=True)
    record = json.loads((tmp_path / "new" / "results.json").read_text())
    by = record["measured"]["transformers"]
    assert set(by) == {"pre", "mix", "lns"}
    for row in (*by.values(), *record["measured"]["residuals"].values()):
        assert all(np.all(np.isfinite(values)) for values in row.values())
