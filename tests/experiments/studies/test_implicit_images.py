"""The study on sine networks at a tiny size, and its signals."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.studies.implicit_images import measure
from experiments.studies.implicit_images.__main__ import STUDY
from experiments.studies.implicit_images.config import SIZES

TINY = dataclasses.replace(SIZES["quick"], samples=32, hidden=4, depth=1, steps=2)
TINY = dataclasses.replace(TINY, bands=(("low", 1, 2), ("high", 10, 12)))


def test_signals_are_of_their_band():
    with jax.enable_x64(False):
        draw = jax.jit(lambda key: measure.signal(key, 64, (20, 25), 3)[:, 0])
        y = np.asarray(draw(jax.random.key(0)))
    sizes = np.abs(np.fft.rfft(y))
    assert np.abs(y).max() == 1
    assert sizes[20:26].max() > 1 and np.delete(sizes, range(20, 26)).max() < 1e-4
    zero = measure.psnr(jnp.zeros(4, jnp.float32), jnp.full(4, 0.2, jnp.float32))
    np.testing.assert_allclose(zero, 20, rtol=1e-5)


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        STUDY.run(TINY, tmp_path / "new", quick=True)
    record = json.loads((tmp_path / "new" / "results.json").read_text())
    psnr = record["measured"]["psnr"]
    assert set(psnr) == {"low", "high"}
    assert np.all(np.isfinite(list(psnr.values())))
