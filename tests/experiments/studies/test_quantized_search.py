"""The study on searches of bit widths: its sub-networks, and a tiny run."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from experiments.studies.quantized_search import elastic
from experiments.studies.quantized_search.__main__ import STUDY
from experiments.studies.quantized_search.config import SIZES
from experiments.studies.quantized_search.measure import ARMS, grown

TINY = dataclasses.replace(SIZES["quick"], seeds=5, super_steps=2, evaluations=5)


def sizes(**more):
    arch = {**elastic.LARGEST, **dict.fromkeys(elastic.EIGHT, 32)}
    return {**arch, "depth": 2, "width_0": 8, "width_1": 16, **more}


@pytest.mark.full
def test_a_sub_network_has_the_first_units_of_the_whole():
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(elastic.initial, jax.random.key(0))
    p = {n: rng.normal(size=a.shape) for n, a in shapes.items()}
    x = rng.normal(size=(4, 64))
    with jax.numpy_rank_promotion("allow"):
        run = jax.jit(lambda p, a, x: elastic.outputs(p, a, x, exact=False))
        found = run(p, elastic.as_arrays(sizes()), x)
    y = np.maximum(x @ p["kernel_0"][:, :8] + p["bias_0"][:8], 0)
    y = np.maximum(y @ p["kernel_1"][:8, :16] + p["bias_1"][:16], 0)
    want = y @ p["head"][:16] + p["head_bias"]
    np.testing.assert_allclose(found, want, rtol=1e-5)


def test_work_of_a_network_by_hand():
    arch = sizes(bits_0=2, bits_1=4, bits_head=8)
    want = 64 * 8 * 4 + 8 * 16 * 16 + 16 * 10 * 64
    assert elastic.bit_work(arch) == want
    assert elastic.bit_work(sizes(bits_2=2)) == elastic.bit_work(sizes(bits_2=8))
    assert "bits_2" not in elastic.active(arch) and "bits_1" in elastic.active(arch)


def test_volumes_grow_and_are_areas():
    scores = np.array([[0.55, -2.0], [0.1, -1.0], [1.0, -3.0]])
    found = grown(scores, 4.0)
    np.testing.assert_allclose(found[:2], [0.45 * 2 / 3.6] * 2)
    np.testing.assert_allclose(found[2], (0.45 * 2 + 0.45) / 3.6)


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        STUDY.run(TINY, tmp_path / "new")
    record = json.loads((tmp_path / "new" / "results.json").read_text())
    measured = record["measured"]
    assert list(measured["volume"]) == list(ARMS)
    for volume in measured["volume"].values():
        assert np.shape(volume) == (5, 5) and np.all(np.diff(volume) >= 0)
    assert np.shape(measured["points"]["noise"]) == (5, 2, 2)
    assert (tmp_path / "new" / "volumes.png").read_bytes().startswith(b"\x89PNG")
