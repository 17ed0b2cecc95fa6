"""The study on losses of language models: its 3-grams, and a tiny run."""

import jax
import numpy as np
import pytest

from experiments.studies.language_losses.__main__ import STUDY
from experiments.studies.language_losses.claims import claims
from experiments.studies.language_losses.config import SIZES
from experiments.studies.language_losses.measure import (
    ARMS,
    Measured,
    distinct,
    grams_apart,
)

CONFIG = SIZES["quick"]


def test_grams_are_counted_within_a_text():
    text = np.array([[1, 2, 3, 1, 2, 3], [4, 4, 4, 4, 4, 4]])
    # 123 twice, 231, 312; 444 four times.
    np.testing.assert_allclose(distinct(text), 4 / 8)
    assert grams_apart(text, text) == 0
    np.testing.assert_allclose(grams_apart(text[0], text[1]), np.sqrt(np.log(2)))
    half = grams_apart(text, text[1])
    p, q = np.array([0.25, 0.125, 0.125, 0.5]), np.array([0, 0, 0, 1.0])
    mean = (p + q) / 2
    wanted = (np.sum(p * np.log(p / mean)) + np.log(1 / mean[3])) / 2
    np.testing.assert_allclose(half, np.sqrt(wanted))


def test_claims_are_against_cross_entropy():
    of = lambda plain, other: (
        {arm: np.full(2, other) for arm in ARMS} | {"cross-entropy": np.full(2, plain)}
    )
    found = claims(Measured(*(of(2.0, 2.1) for _ in range(4))), CONFIG)
    np.testing.assert_allclose(np.array(found[0].values), -0.1)
    np.testing.assert_allclose(np.array(found[1].values), 5.0)


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        found = STUDY.run(CONFIG, tmp_path / "new", quick=True)
    for values in found.measured:
        for each in values.values():
            assert each.shape == (2,) and np.isfinite(each).all()
    assert (tmp_path / "new" / "losses.png").is_file()
