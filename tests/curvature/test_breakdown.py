"""Lanczos where the Krylov space ends: no value that the matrix does not have."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import dense_hessian
from support.krylov import BOTH, KEY, WIDTHS, run

from jaxopt_lab import curvature

SPECTRA = {
    "identity": (np.full(9, 2.0), {1}, [2.0]),
    "zero": (np.zeros(9), {1}, [0.0]),
    "one entry": (np.array([-3.0]), {1}, [-3.0]),
    "low rank": (np.array([3.0, 1.0] + 20 * [0.0]), {3}, [0.0, 1.0, 3.0]),
    "two values": (np.array(5 * [4.0] + 7 * [-1.0]), {2}, [-1.0, 4.0]),
}


@pytest.mark.full(plain=["zero-float64-traced", "one entry-float32-traced"])
@BOTH
@WIDTHS
@pytest.mark.parametrize("kind", SPECTRA)
def test_exhausted_spaces(kind, dtype, traced):
    values, steps, expected = SPECTRA[kind]
    r = run(dense_hessian.diagonal(values, dtype), 20, traced)
    assert int(r.valid) in steps
    atol = 50 * np.finfo(dtype).eps * np.max(np.abs(values))
    np.testing.assert_allclose(r.values, expected, rtol=0, atol=atol)


@pytest.mark.full
@BOTH
@WIDTHS
def test_wide_spread(dtype, traced):
    values = np.array([1e4, 10.0, 1e-3] + 30 * [0.0])
    r = run(dense_hessian.diagonal(values, dtype), 20, traced)
    eps = float(np.finfo(dtype).eps)
    if dtype == jnp.float64:
        assert int(r.valid) == 4
        np.testing.assert_allclose(r.values, [0, 1e-3, 10, 1e4], rtol=0, atol=1e-11)
        return
    # Float32 cannot tell 1e-3 from 0 beside 1e4; nothing may lie outside all the same.
    assert int(r.valid) in (2, 3, 4)
    np.testing.assert_allclose(r.values[-2:], [10, 1e4], rtol=0, atol=50 * eps * 1e4)
    assert r.values[0] >= -50 * eps * 1e4


@pytest.mark.full
@BOTH
@WIDTHS
def test_low_rank_without_axes(dtype, traced):
    rng = np.random.default_rng(0)
    q = np.linalg.qr(rng.normal(size=(500, 6)))[0]
    values = np.array([-2.0, 0.5, 1.0, 3.0, 8.0, 20.0])
    factor = jnp.asarray(q, dtype)
    scaled = jnp.asarray(values[:, None] * q.T, dtype)
    h = curvature.linear_operator(lambda v: factor @ (scaled @ v), factor[:, 0])
    r = run(h, 30, traced)
    eps = float(np.finfo(dtype).eps)
    assert int(r.valid) in (7, 8)
    # Zero may appear twice: the step after the last is rounding, within the guard.
    ends = np.delete(r.values, slice(1, 1 + int(r.valid) - 6))
    np.testing.assert_allclose(ends, values, rtol=0, atol=100 * eps * 20)
    middle = r.values[1 : 1 + int(r.valid) - 6]
    np.testing.assert_allclose(middle, 0, atol=100 * eps * 20)


@pytest.mark.full
@BOTH
@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    distinct=st.lists(
        st.integers(-40, 40).map(lambda x: x / 4), min_size=1, max_size=5, unique=True
    ),
    repeats=st.lists(st.integers(1, 6), min_size=5, max_size=5),
)
def test_no_value_that_the_matrix_does_not_have(traced, distinct, repeats):
    values = np.repeat(distinct, repeats[: len(distinct)])
    r = run(dense_hessian.diagonal(np.pad(values, (0, 32 - len(values)))), 12, traced)
    everything = np.array([*distinct, 0.0])
    scale = max(1.0, np.max(np.abs(everything)))
    away = np.min(np.abs(r.values[:, None] - everything[None]), axis=1)
    assert np.max(away) <= 1e-10 * scale


def test_a_planted_fault_shows():
    # Without the guard the same steps give values that are far off: what matfree does.
    from matfree import decomp

    diagonal = jnp.array([3.0, 1.0] + 20 * [0.0])
    algorithm = decomp.tridiag_sym(10, reortho="full")
    start = jax.random.normal(KEY, diagonal.shape)
    result = algorithm(lambda v: diagonal * v, start)
    assert np.max(np.abs(np.linalg.eigvalsh(np.nan_to_num(result.J_small)))) > 3.1


@BOTH
def test_nan_is_visible(traced):
    h = curvature.linear_operator(lambda v: v * jnp.nan, jnp.ones(5))
    r = curvature.lanczos(h, KEY, 5, traced=traced)
    assert int(r.valid) == 1 and np.all(np.isnan(np.asarray(r.values)))
