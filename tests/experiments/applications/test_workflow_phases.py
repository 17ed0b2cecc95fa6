"""Phases of operations: a tiny run, and the exact properties of what it is made of."""

import jax
import numpy as np
import pytest

from experiments.applications.workflow_phases.__main__ import APPLICATION
from experiments.applications.workflow_phases.config import METHODS, MODES, Config
from experiments.applications.workflow_phases.decoding import running_mean
from experiments.applications.workflow_phases.frames import jaccard, operations

BOTH = (False, True)
TINY = Config(seeds=1, operations=5, steps=3, phases=4, length=4, window=3, batch=8)


@pytest.mark.full
def test_smoke(smoke):
    record = smoke(APPLICATION, TINY)
    assert len(record["jaccard"]) == len(METHODS) * len(MODES)
    for name, values in record["jaccard"].items():
        assert 0 <= values[0] <= record["accuracy"][name][0] <= 1
    frames = [record["jaccard"][f"frame {mode}"] for mode in MODES]
    assert frames[0] == frames[1], "single frames know no mode"


def test_running_means():
    """A window of one is the identity; padding changes nothing; ends are shorter."""
    rng = np.random.default_rng(0)
    p, where = rng.uniform(size=(2, 6, 3)), np.arange(6) < np.array([[6], [4]])
    p[~where] = 7.0

    @jax.jit
    def run(p, where):
        one = running_mean(p, 1, centred=True, where=where)
        return one, *(running_mean(p, 3, centred=c, where=where) for c in BOTH)

    one, behind, about = run(p, where)
    np.testing.assert_array_equal(one[where], p[where])
    for n, count in enumerate((6, 4)):
        for t in range(count):
            wanted = p[n, max(t - 2, 0) : t + 1].mean(0)
            np.testing.assert_allclose(behind[n, t], wanted, rtol=1e-12)
            wanted = p[n, max(t - 1, 0) : min(t + 2, count)].mean(0)
            np.testing.assert_allclose(about[n, t], wanted, rtol=1e-12)


def test_operations_and_their_score():
    rng = np.random.default_rng(0)
    digits = {p: np.full((2, 64), p, np.float32) for p in range(TINY.phases)}
    made = operations(rng, TINY, digits, 30)
    kept = [p[w] for p, w in zip(made.phases, made.where, strict=True)]
    assert all(len(x) < made.where.shape[1] for x in kept)
    # In order, but for one phase that comes again.
    falls = [np.sum(np.diff(x) < 0) for x in kept]
    assert set(falls) == {0, 1}
    assert jaccard(made.phases, made.phases, made.where) == 1
    two = np.array([[0, 0, 1, 1]]), np.array([[0, 1, 1, 2]])
    # Intersections over unions of 0, 1 and 2: 1/2, 1/3 and 0.
    assert jaccard(*two, np.ones((1, 4), bool)) == pytest.approx(5 / 18)
