"""InfoNCE against the logarithm of a softmax, pair by pair."""

import jax
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.losses import info_nce

RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(4, 3)), RNG.normal(size=(4, 3))


def plainly(a, b, temperature=0.2):
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    e = np.exp(a @ b.T / temperature)
    own = np.diag(e)
    return -np.log(own / e.sum(axis=1)), -np.log(own / e.sum(axis=0))


def run(a, b, where):
    return jax.device_get(_run(a, b, where))


@jax.jit
def _run(a, b, where):
    total = lambda a, b: info_nce(a, b, where=where).sum()
    return {
        "plain": info_nce(a, b),
        "exchanged": info_nce(b, a),
        "one way": info_nce(a, b, symmetric=False, temperature=0.7),
        "dropped": info_nce(a, b, where=where),
        "slopes": jax.grad(total, argnums=(0, 1))(a, b),
    }


def test_both_directions_and_their_exchange():
    found = run(A, B, np.ones(4))
    there, back = plainly(A, B)
    np.testing.assert_allclose(found["plain"], (there + back) / 2, rtol=1e-12)
    np.testing.assert_allclose(found["exchanged"], found["plain"], rtol=1e-12)
    there, _ = plainly(A, B, 0.7)
    np.testing.assert_allclose(found["one way"], there, rtol=1e-12)


def test_equal_cosines_give_log_n():
    found = run(np.ones((4, 3)), 2 * np.ones((4, 3)), np.ones(4))
    np.testing.assert_allclose(found["plain"], np.log(4), rtol=1e-12)
    # Vectors of zeros have equal cosines, and no gradient.
    found = run(np.zeros((4, 3)), B, np.ones(4))
    np.testing.assert_allclose(found["plain"], np.log(4), rtol=1e-12)
    assert not np.any(found["slopes"][0])


def test_a_dropped_pair_is_no_candidate():
    where = np.array([1, 0, 1, 1])
    a, b = (np.where(where[:, None] == 0, np.nan, x) for x in (A, B))
    found = run(a, b, where)
    kept = where == 1
    wanted = np.mean(plainly(A[kept], B[kept]), axis=0)
    np.testing.assert_allclose(found["dropped"][kept], wanted, rtol=1e-12)
    assert found["dropped"][1] == 0
    for slope in found["slopes"]:
        assert np.all(np.isfinite(slope)) and not np.any(slope[1])


def test_arguments_that_do_not_fit():
    with pytest.raises(InputError, match=r"b must have shape \(4, 3\); got \(3, 3\)"):
        info_nce(A, B[:3])
    with pytest.raises(InputError, match="temperature must be above 0; got 0"):
        info_nce(A, B, temperature=0.0)
