"""Symmetric divergence of rows against both directions in NumPy."""

import jax
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.losses import row_entropy, symmetric_row_divergence

RNG = np.random.default_rng(0)
P, T = RNG.dirichlet(np.ones(5), (2, 3)), RNG.dirichlet(np.ones(5), (2, 3))


@jax.jit
def run(p, t, where):
    total = lambda p, t: symmetric_row_divergence(p, t, where=where).sum()
    return {
        "both": symmetric_row_divergence(p, t, where=where),
        "exchanged": symmetric_row_divergence(t, p, where=where),
        "entropy": row_entropy(p, where=where),
        "slopes": jax.grad(total, argnums=(0, 1))(p, t),
    }


def test_it_is_the_sum_of_both_directions():
    found = jax.device_get(run(P, T, np.ones((2, 3))))
    p, t = P + 1e-4, T + 1e-4
    wanted = np.sum(P * np.log(p / t) + T * np.log(t / p), axis=-1)
    np.testing.assert_allclose(found["both"], wanted, rtol=1e-11)
    np.testing.assert_allclose(found["exchanged"], found["both"], rtol=1e-14)
    entropy = -np.sum(P * np.log(p), axis=-1)
    np.testing.assert_allclose(found["entropy"], entropy, rtol=1e-12)
    slope = np.log(p / t) + (P - T) / p
    np.testing.assert_allclose(found["slopes"][0], slope, rtol=1e-9, atol=1e-12)


def test_equal_rows_have_no_divergence_and_no_gradient():
    rows = np.stack([P[0], np.eye(5)[:3]])
    found = jax.device_get(run(rows, rows, np.ones((2, 3))))
    assert not np.any(found["both"])
    assert not any(np.any(slope) for slope in found["slopes"])


def test_the_derivative_at_a_probability_of_zero_is_that_of_the_formula():
    p = np.broadcast_to(np.eye(5)[:3], (2, 3, 5))
    found = jax.device_get(run(p, T, np.ones((2, 3))))
    slope = np.log((p + 1e-4) / (T + 1e-4)) + (p - T) / (p + 1e-4)
    np.testing.assert_allclose(found["slopes"][0], slope, rtol=1e-9)


def test_a_dropped_row_counts_for_nothing():
    where = np.array([[1, 0, 1], [1, 1, 0]])
    holes = np.where(where[..., None] == 0, np.nan, P)
    found, whole = (jax.device_get(run(p, T, where)) for p in (holes, P))
    for name in ("both", "entropy"):
        np.testing.assert_array_equal(found[name], whole[name])
        assert not np.any(found[name][where == 0])
    assert all(np.all(np.isfinite(slope)) for slope in found["slopes"])


def test_arguments_that_do_not_fit():
    with pytest.raises(InputError, match=r"t must have shape \(2, 3, 5\); got"):
        symmetric_row_divergence(P, T[:, :2])
    with pytest.raises(InputError, match="eps must be above 0; got 0"):
        row_entropy(P, eps=0.0)
