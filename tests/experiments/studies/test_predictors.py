"""The study on predictors: masked networks are the plain ones, and a tiny run."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from experiments.studies.predictors.__main__ import STUDY
from experiments.studies.predictors.config import SIZES
from experiments.studies.predictors.measure import PREDICTORS, described
from experiments.studies.predictors.spaces import LARGEST, SPACES, draw, sliced

TINY = dataclasses.replace(SIZES["quick"], seeds=5, networks=4, steps=2, fitted=2)


def arch_of(name, seed=0):
    drawn = draw(SPACES[name], np.random.default_rng(seed), 1)
    return {key: int(value[0]) for key, value in drawn.items()}


def arrays(name, seed=1):
    rng = np.random.default_rng(seed)
    shapes = SPACES[name].shapes(LARGEST[name])
    return {part: rng.normal(size=shape) / 4 for part, shape in shapes.items()}


@pytest.mark.full(plain=["dense"])
@pytest.mark.parametrize("name", SPACES)
def test_a_masked_network_is_the_plain_one(name):
    x = np.random.default_rng(2).normal(size=(3, 64))
    params = arrays(name)
    with jax.numpy_rank_promotion("allow"):
        for seed in range(1 if name == "dense" else 6):
            arch = arch_of(name, seed)
            plain = SPACES[name].plain(arch, sliced(params, name, arch), x)
            traced = {key: np.int32(value) for key, value in arch.items()}
            masked = SPACES[name].masked(traced, params, x)
            np.testing.assert_allclose(masked, plain, rtol=1e-5, atol=1e-6)


def test_other_networks_have_other_texts():
    config = dataclasses.replace(SIZES["quick"], features=512)
    arch = {"depth": 1, "width": 4, "activation": 0}
    with jax.numpy_rank_promotion("allow"):
        one = described("dense", arch, config)
        two = described("dense", {**arch, "activation": 1}, config)
    np.testing.assert_allclose(np.exp(one[-2:]), [64 * 4 + 40] * 2, rtol=1e-6)
    assert np.any(one[:-2] != two[:-2]) and np.array_equal(one[-2:], two[-2:])


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        STUDY.run(TINY, tmp_path / "new")
    record = json.loads((tmp_path / "new" / "results.json").read_text())
    for key in ("within", "zero_shot"):
        assert set(record["measured"][key]) == set(SPACES)
        for taus in record["measured"][key].values():
            assert np.shape([taus[p] for p in PREDICTORS]) == (4, 5)
    assert (tmp_path / "new" / "taus.png").read_bytes().startswith(b"\x89PNG")
