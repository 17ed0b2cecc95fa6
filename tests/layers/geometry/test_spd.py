"""Functions of symmetric matrices: ties, known distances, geodesics, transports."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers.geometry import spd
from jaxopt_lab.layers.geometry.spectral import spectral_product, sym_fun

RNG = np.random.default_rng(0)
ROOT = RNG.normal(size=(2, 3, 3))
A, B = ROOT @ np.swapaxes(ROOT, -1, -2) + 0.3 * np.eye(3)
H = RNG.normal(size=(3, 3))
QUICK = {"xla_backend_optimization_level": 0}


def differences(f, x, h, step=1e-5):
    return (np.asarray(f(x + step * h)) - np.asarray(f(x - step * h))) / (2 * step)


FUNCTIONS = {
    "sqrt": (spd.spd_sqrt, scipy.linalg.sqrtm),
    "inverse sqrt": (lambda x: spd.spd_power(x, -0.5), None),
    "cube": (lambda x: spd.spd_power(x, 3.0), lambda x: x @ x @ x),
    "log": (lambda x: sym_fun(x, jnp.log, lambda w: 1 / w), scipy.linalg.logm),
    "exp": (lambda x: sym_fun(x, jnp.exp, jnp.exp), scipy.linalg.expm),
    "to identity": (lambda x: spd.bw_to_identity(x, jnp.asarray(H + H.T)), None),
    "from identity": (lambda x: spd.bw_from_identity(x, jnp.asarray(H + H.T)), None),
    "exp map": (lambda x: spd.bw_exp(x, jnp.asarray(H + H.T)), None),
}


@pytest.mark.full(plain=["sqrt", "from identity", "log"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivatives_at_equal_near_and_different_eigenvalues(name):
    f, known = FUNCTIONS[name]
    slope = jax.jit(lambda x, h: jax.jvp(f, (x,), (h,)), compiler_options=QUICK)
    value = jax.jit(f, compiler_options=QUICK)
    near = np.diag([2.0, 2.0 + 1e-7, 1.0])
    for x in (np.eye(3), np.diag([2.0, 2.0, 0.5]), near, A):
        y, got = slope(x, H + H.T)
        wanted = differences(value, x, H + H.T)
        np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-7)
        if known is not None:
            np.testing.assert_allclose(y, known(x).real, rtol=1e-10, atol=1e-11)


def test_a_gradient_at_the_identity_is_the_adjoint():
    f = lambda x: jnp.sum(spd.spd_sqrt(x) * H)
    grad = jax.jit(jax.grad(f), compiler_options=QUICK)(np.eye(3))
    np.testing.assert_allclose(grad, (H + H.T) / 4, rtol=1e-12)


def test_diagonal_matrices_are_numbers():
    a, b = RNG.uniform(0.5, 3, (2, 3))
    x = np.stack([np.diag(v) for v in RNG.uniform(0.5, 3, (4, 3))])

    @jax.jit
    def run(p, q, x):
        return spd.bw_distance(p, q), spd.bw_mean(x), spd.spd_geodesic(p, q, 0.3)

    distance, mean, middle = run(np.diag(a), np.diag(b), x)
    np.testing.assert_allclose(distance, np.sum((a**0.5 - b**0.5) ** 2), rtol=1e-12)
    roots = np.sqrt(np.diagonal(x, axis1=1, axis2=2))
    np.testing.assert_allclose(mean, np.diag(roots.mean(0) ** 2), rtol=1e-12)
    wanted = np.diag((0.7 * a**0.5 + 0.3 * b**0.5) ** 2)
    np.testing.assert_allclose(middle, wanted, rtol=1e-12)


def test_maps_undo_each_other_and_geodesics_measure():
    def run(a, b):
        v = spd.bw_log(a, b)
        back = spd.bw_exp(a, v)
        half = spd.spd_geodesic(a, b, 0.25)
        there = spd.bw_from_identity(a, spd.bw_to_identity(a, v))
        mean = spd.bw_mean(jnp.stack([a, b]), steps=8)
        ways = [spd.bw_distance(x, y) for x, y in ((a, b), (a, half), (a, mean))]
        return v, back, there, jnp.stack(ways)

    v, back, there, ways = jax.jit(run, compiler_options=QUICK)(A, B)
    np.testing.assert_allclose(back, B, rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(there, v, rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(ways[1], ways[0] / 16, rtol=1e-8)
    np.testing.assert_allclose(ways[2], ways[0] / 4, rtol=1e-6)


def test_a_map_is_linear_in_its_matrix():
    kernel, divided = lambda a, b: a + b, lambda a, b, c: jnp.ones_like(a + b + c)
    run = jax.jit(lambda b, v: spectral_product(b, v, kernel, divided))
    np.testing.assert_allclose(run(A, H), A @ H + H @ A, rtol=1e-11, atol=1e-12)


def test_what_is_not_positive_definite_is_refused_outside_of_jit():
    with pytest.raises(InputError, match="norm takes positive definite.*of 0"):
        spd.check_spd("norm", np.zeros((2, 3, 3)))
    with pytest.raises(InputError, match="norm takes symmetric matrices"):
        spd.check_spd("norm", np.triu(np.ones((3, 3))))
    jax.make_jaxpr(lambda x: spd.check_spd("norm", x))(np.zeros((3, 3)))
    found = jax.jit(jax.grad(lambda x: jnp.sum(spd.spd_power(x, -0.5))))
    assert np.all(np.isfinite(found(np.zeros((3, 3)))))
