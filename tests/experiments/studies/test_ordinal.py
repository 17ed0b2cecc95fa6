"""The study on ordinal labels: its scores, and a tiny run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.studies.ordinal.__main__ import STUDY
from experiments.studies.ordinal.config import SIZES
from experiments.studies.ordinal.qualities import raters, scores

CONFIG = SIZES["quick"]


def test_scores_are_of_the_quality_without_noise():
    rng = np.random.default_rng(0)
    strength, votes = rng.uniform(size=(1, 50)), rng.uniform(size=(1, 50))
    quality = np.stack([5 - 4 * strength, np.exp(-9 * strength)], axis=1)
    found = scores(
        {
            "mean": quality,
            "deviation": np.stack([3 * votes, 1 - votes], axis=1),
            "strength": strength,
            "votes": votes,
        }
    )
    np.testing.assert_allclose(found["quality"], 1)
    assert found["linear"][0, 1] < 0.95 < found["linear"][0, 0]
    np.testing.assert_allclose(found["spread"], [[1, -1]])
    strengths = jnp.array([0.0, 1.0, 0.5, 0.5])
    both = raters(strengths, jnp.array([False, True, False, True]))
    np.testing.assert_allclose(both, [5, 1, 3, 4.5])


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        found = STUDY.run(CONFIG, tmp_path / "new", quick=True)
    for by_arm in found.measured:
        assert len(by_arm) == 3
        for values in by_arm.values():
            assert values.shape == (2,) and np.isfinite(values).all()
    assert (tmp_path / "new" / "angles.png").is_file()
