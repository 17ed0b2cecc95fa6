"""The study on retrieval: its scores, and a tiny run."""

import jax
import numpy as np
import pytest

from experiments.studies.retrieval.__main__ import STUDY
from experiments.studies.retrieval.config import SIZES
from experiments.studies.retrieval.measure import OPIS, RECALL, SPEARMAN, scores

CONFIG = SIZES["quick"]


def test_scores_of_embeddings_in_the_plane():
    angles = np.radians([0, 10, 90, 100, 180, 20])
    at = lambda a: np.stack([np.cos(a), np.sin(a)], axis=1)[None, None]
    labels = np.array([[0, 0, 1, 1, 2, 2]])
    shares = np.array([[0.9, 0.7, 0.5, 0.3, 0.2, 0.1]])
    # The further a mixture is turned, the smaller is its share; the lengths are others.
    mixed = 3 * at(angles + np.radians([5, 10, 20, 30, 40, 50]))
    found = scores(at(angles), mixed, shares, labels)
    # 10 degrees is as near to 0 as to 20, and takes the first; 180 and 20 find others.
    np.testing.assert_allclose(found[RECALL], [[4 / 6]])
    np.testing.assert_allclose(found[SPEARMAN], [[1.0]])
    assert 0 < found[OPIS][0, 0] < 1


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        found = STUDY.run(CONFIG, tmp_path / "new", quick=True)
    for by_arm in found.measured.values.values():
        assert len(by_arm) == 5
        for values in by_arm.values():
            assert values.shape == (2,) and np.isfinite(values).all()
    assert (tmp_path / "new" / "retrieval.png").is_file()
