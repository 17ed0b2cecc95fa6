"""Bases of functions against SciPy and their identities."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.interpolate

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers.kan import bases

X = np.linspace(-1, 1, 41)


def test_splines_are_those_of_scipy():
    x = np.linspace(-1.9, 1.9, 77)

    @jax.jit
    def run(x):
        each = lambda x: bases.b_spline_basis(x, grid=5, order=3)
        return each(x), jax.vmap(jax.jacobian(each))(x)

    found, slopes = jax.device_get(run(x))
    knots = -1 + 0.4 * np.arange(-3, 9)
    for i in range(8):
        one = scipy.interpolate.BSpline.basis_element(knots[i : i + 5], False)
        want = np.nan_to_num(one(x))
        np.testing.assert_allclose(found[:, i], want, atol=1e-14)
        slope = np.nan_to_num(one.derivative()(x))
        np.testing.assert_allclose(slopes[:, i], slope, atol=1e-12)


def test_splines_share_one_and_are_local():
    for grid, order in ((5, 3), (2, 1)):
        made = jax.jit(bases.b_spline_basis, static_argnames=("grid", "order"))
        found = np.asarray(made(X, grid=grid, order=order))
        assert found.shape[-1] == grid + order and found.min() >= 0
        np.testing.assert_allclose(found.sum(-1), 1, rtol=1e-14)
        assert np.all(np.sum(found > 0, axis=-1) <= order + 1)


def test_other_bases_are_their_formulas():
    wide = np.linspace(-12, 12, 4001)

    @jax.jit
    def run(x, wide):
        return {
            "chebyshev": bases.chebyshev_basis(x, degree=5),
            "constant": bases.chebyshev_basis(x, degree=0),
            "gaussian": bases.gaussian_basis(x),
            "fourier": bases.fourier_basis(x),
            "hat": bases.mexican_hat(wide),
        }

    found = jax.device_get(run(X, wide))
    want = np.cos(np.arange(6) * np.arccos(X)[:, None])
    np.testing.assert_allclose(found["chebyshev"], want, atol=1e-13)
    assert found["constant"].shape == (41, 1)
    apart = X[:, None] - np.linspace(-1, 1, 8)
    want = np.exp(-((apart * 3.5) ** 2))
    np.testing.assert_allclose(found["gaussian"], want, rtol=1e-12)
    phases = np.pi * X[:, None] * (1 + np.arange(4))
    want = np.concatenate([np.cos(phases), np.sin(phases)], -1)
    np.testing.assert_allclose(found["fourier"], want, atol=1e-14)
    np.testing.assert_allclose(np.trapezoid(found["hat"], wide), 0, atol=1e-12)
    np.testing.assert_allclose(np.trapezoid(found["hat"] ** 2, wide), 1, rtol=1e-12)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda x: bases.b_spline_basis(x, grid=0), "grid"),
        (lambda x: bases.b_spline_basis(x, order=0), "order"),
        (lambda x: bases.gaussian_basis(x, centres=1), "centres"),
        (lambda x: bases.chebyshev_basis(x, degree=-1), "degree"),
        (lambda x: bases.fourier_basis(x, waves=0), "waves"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(InputError, match=words):
        call(jnp.zeros(2))
