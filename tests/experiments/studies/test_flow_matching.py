"""The study on flow matching: curvature of paths, and its claims."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from experiments.studies.flow_matching.__main__ import STUDY
from experiments.studies.flow_matching.claims import claims
from experiments.studies.flow_matching.config import SIZES
from experiments.studies.flow_matching.measure import (
    CFM,
    FINE,
    Measured,
    arms,
    bend,
    transported,
)

TINY = dataclasses.replace(
    SIZES["quick"], width=4, steps=2, batch=8, points=6, fine=2, euler=(1, 2)
)


def test_straight_paths_have_no_curvature():
    times = np.linspace(0, 1, 101)[:, None, None]
    ends = np.array([[1.0, 2.0], [-3.0, 0.5]])
    straight = times * ends[None]
    # Quadratic in time: the velocity is 2 t times the displacement, and the mean of
    # (2 t - 1)^2 a third, less the part within a step.
    late = times**2 * ends[None]
    np.testing.assert_allclose(jax.jit(bend)(straight), 0, atol=1e-12)
    np.testing.assert_allclose(jax.jit(bend)(late), 1 / 3, rtol=2e-4)


def test_the_best_assignment_of_two_lines_is_in_order():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 1, 2, 7, 1))
    wanted = np.mean((np.sort(a, axis=2) - np.sort(b, axis=2)) ** 2, axis=(2, 3)).T
    np.testing.assert_allclose(transported(a, b), wanted)


def test_claims_are_against_cfm():
    config = SIZES["quick"]
    names = arms(config)
    values = {a: np.full(2, 1.0 if a == CFM else 0.5) for a in names}
    steps = (FINE, str(config.few))
    distance = {a: dict.fromkeys(steps, v) for a, v in values.items()}
    found = claims(Measured(values, values, distance, values), config)
    assert len(found) == 4 * len(config.factors)
    means = [np.mean(np.asarray(c.values, float)) for c in found[:4]]
    np.testing.assert_allclose(means, [np.log(2)] * 3 + [-0.5])


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        STUDY.run(TINY, tmp_path / "new", quick=True)
    record = json.loads((tmp_path / "new" / "results.json").read_text())
    assert set(record["measured"]["curvature"]) == set(arms(TINY))
    assert record["measured"]["share"][CFM] == [1.0, 1.0]
