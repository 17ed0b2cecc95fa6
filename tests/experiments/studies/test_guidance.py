"""The study on guidance: its convolutions, and a tiny run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.studies.guidance import measure
from experiments.studies.guidance.__main__ import STUDY
from experiments.studies.guidance.claims import claims
from experiments.studies.guidance.config import SIZES

CONFIG = SIZES["quick"]


def test_claims_are_paired():
    accuracy = {arm: np.array([i, 2.0 * i]) for i, arm in enumerate(measure.ARMS)}
    found = claims(measure.Measured(*(accuracy for _ in range(4))), CONFIG)
    values = [np.array(claim.values).tolist() for claim in found]
    assert values == [[1, 2], [2, 4], [-1, -2], [2, 4]]


@pytest.mark.full
def test_the_first_convolution_is_a_sum_over_neighbours():
    x = np.random.default_rng(0).normal(size=(2, 64)).astype(np.float32)
    key = jax.random.key(3)
    first, second = measure.convolved(key, jnp.asarray(x), 2)
    kernel = jax.random.normal(jax.random.split(key)[0], (3, 3, 1, 2), np.float32)
    kernel = np.asarray(kernel) * (2 / 9) ** 0.5
    padded = np.pad(x.reshape(2, 8, 8), ((0, 0), (1, 1), (1, 1)))
    wanted = sum(
        padded[:, i : i + 8, j : j + 8, None] * kernel[i, j, 0]
        for i in range(3)
        for j in range(3)
    )
    wanted = np.maximum(wanted, 0).reshape(2, -1)
    np.testing.assert_allclose(first, wanted, rtol=1e-4, atol=1e-5)
    assert second.shape == (2, 128)


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        found = STUDY.run(CONFIG, tmp_path / "new", quick=True)
    for by_arm in found.measured:
        for values in by_arm.values():
            assert values.shape == (2,) and np.isfinite(values).all()
    assert (tmp_path / "new" / "guides.png").is_file()
