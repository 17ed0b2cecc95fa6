"""The study on ensembles: its measures, and a tiny run."""

import jax
import numpy as np
import pytest

from experiments.studies.ensembles.__main__ import STUDY
from experiments.studies.ensembles.claims import claims
from experiments.studies.ensembles.config import SIZES
from experiments.studies.ensembles.measure import MEASURES, Measured, measures

CONFIG = SIZES["quick"]


def test_measures_are_those_of_the_mean_prediction():
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=(5, 3, 4)), rng.integers(0, 4, 5)
    p = np.exp(scores) / np.exp(scores).sum(axis=2, keepdims=True)
    mean, rows = p.mean(axis=1), np.arange(5)
    with jax.numpy_rank_promotion("allow"):
        found = jax.jit(measures)(scores, labels)
    right = scores.argmax(axis=2) == labels[:, None]
    entropy = -np.log(mean[rows, labels]).mean()
    single = -np.log(p[rows, :, labels]).mean()
    wanted = (
        (mean.argmax(axis=1) == labels).mean(),
        entropy,
        single - entropy,
        right.mean(),
    )
    for name, value in zip(MEASURES, wanted, strict=True):
        np.testing.assert_allclose(found[name], value, rtol=1e-6)


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        found = STUDY.run(CONFIG, tmp_path / "new", quick=True)
    for values in found.measured.values.values():
        assert values["diversity"].shape == (2, 2)
        assert (values["diversity"] >= 0).all()
    assert len(claims(Measured(found.measured.values), CONFIG)) == 6
    assert (tmp_path / "new" / "gammas.png").is_file()
