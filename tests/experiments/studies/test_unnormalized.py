"""The study on unnormalized models: its curvature, its states, its claims."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from experiments.studies.unnormalized import gaussian
from experiments.studies.unnormalized.__main__ import STUDY
from experiments.studies.unnormalized.binary import METHODS, features
from experiments.studies.unnormalized.claims import claims
from experiments.studies.unnormalized.config import SIZES
from experiments.studies.unnormalized.measure import Measured

TINY = dataclasses.replace(SIZES["quick"], limit=4, bits=2, steps=3, rates=(0.1, 0.3))


def test_the_curvature_is_that_of_the_loss():
    config = SIZES["standard"]
    x = np.linspace(-40, 40, 16001)
    normal = lambda x, m, s: np.exp(-((x - m) ** 2) / (2 * s**2)) / (2.5066283 * s)
    q = normal(x, 0, config.width)

    def loss(theta):
        logit = -((x - theta) ** 2) / 2 - gaussian.LOG_Z - np.log(q)
        data = normal(x, config.mean, 1) * np.logaddexp(0, -logit)
        return (data + q * np.logaddexp(0, logit)).sum() * (x[1] - x[0])

    for theta in (0.0, 5.0):
        moved = [loss(theta + h) for h in (-1e-3, 0.0, 1e-3)]
        wanted = (moved[0] - 2 * moved[1] + moved[2]) / 1e-6
        found = gaussian.curvatures(np.array([theta]), config)
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-5)


def test_the_states_are_all_and_their_features_orthogonal():
    table = features(4)
    np.testing.assert_array_equal(table.T @ table, 16 * np.eye(10))


def test_a_claim_is_of_fewer_steps_and_less_divergence():
    steps = {"meco": np.full((4, 4), 10), "nce": np.full((4, 4), 20)}
    levels = dict(zip(METHODS, (0.1, 0.105, 0.2, 0.3), strict=True))
    nats = {name: np.full((3, 4), level) for name, level in levels.items()}
    config = SIZES["quick"]
    found = claims(Measured(steps, np.zeros(1), np.zeros(1), nats), config)
    assert [c.where for c in found[:3]] == [
        f"Gaussian, rate {r}" for r in (0.03, 0.1, 0.3)
    ]
    values = [np.asarray(c.values, float) for c in found]
    np.testing.assert_allclose(values[0], np.log(2))
    means = [np.mean(v) for v in values[4:]]
    np.testing.assert_allclose(means, [0.195, 0.095, 0.005], rtol=1e-6)


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        STUDY.run(TINY, tmp_path / "new", quick=True)
    record = json.loads((tmp_path / "new" / "results.json").read_text())
    assert np.shape(record["measured"]["divergences"]["meco"]) == (2, 4)
    assert (tmp_path / "new" / "unnormalized.png").exists()
