"""Traces and diagonals: recorded probes, standard errors, chunks, stopping."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import dense_hessian

from jaxopt_lab import curvature
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.curvature.spectrum import hutchpp, trace

CASES = dense_hessian.CASES
KEY = jax.random.key(0)


@pytest.mark.full(plain=["mlp_trained"])
@pytest.mark.parametrize("name", CASES)
def test_recorded_probes(name):
    p = dense_hessian.load(name)
    h = p.hessian()
    samples = []
    for probe in p.arrays["hutchinson/probes"]:
        z = p.tree(probe, jnp.float64)
        samples.append(float(trace.quadratic_form(z, h.matvec(z))))
    expected = p.arrays["hutchinson/per_probe"]
    np.testing.assert_allclose(samples, expected, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(
        trace.standard_error(np.array(samples)), p.arrays["hutchinson/sem"], rtol=1e-9
    )
    columns = p.arrays["hutchpp/S"].shape[1]
    found = hutchpp.hutchpp_of(
        h,
        [p.tree(x, jnp.float64) for x in p.arrays["hutchpp/S"].T],
        [p.tree(x, jnp.float64) for x in p.arrays["hutchpp/G"].T],
        columns,
    )
    np.testing.assert_allclose(found.value, p.arrays["hutchpp/estimate"], rtol=1e-9)
    assert found.matvecs == 3 * columns


@pytest.mark.full(plain=["mlp_trained-rademacher"])
@pytest.mark.parametrize("probe", ["rademacher", "normal"])
@pytest.mark.parametrize("name", ["conv_init", "mlp_trained"])
def test_the_error_is_what_it_says(name, probe):
    p = dense_hessian.load(name)
    found = curvature.hutchinson_trace(
        p.hessian(), KEY, num_probes=400, probe=probe, chunk=50
    )
    exact = p.arrays["hessian/trace"]
    assert abs(found.value - exact) <= 4 * found.standard_error
    fro, diagonal = p.arrays["hessian/fro_sq"], p.arrays["hessian/diag"]
    variance = 2 * (fro - (np.sum(diagonal**2) if probe == "rademacher" else 0))
    predicted = np.sqrt(variance / 400)
    np.testing.assert_allclose(found.standard_error, predicted, rtol=0.2)


@pytest.mark.full
@pytest.mark.parametrize("dtype", [jnp.float64, jnp.float32])
def test_chunks_give_the_same_samples(dtype):
    p = dense_hessian.load("mlp_init", dtype)
    one = curvature.hutchinson_trace(p.hessian(), KEY, num_probes=10)
    three = curvature.hutchinson_trace(p.hessian(), KEY, num_probes=10, chunk=3)
    rtol = 1e-9 if dtype == jnp.float64 else 1e-3
    np.testing.assert_allclose(one.samples, three.samples, rtol=rtol)
    assert one.matvecs == three.matvecs == 10
    assert one.value == np.mean(one.samples)


def test_it_stops_at_the_tolerance():
    p = dense_hessian.load("mlp_trained")
    found = curvature.hutchinson_trace(p.hessian(), KEY, num_probes=400, tol=0.08)
    assert 10 < found.matvecs < 400
    assert found.standard_error <= 0.08 * found.value
    before = found.samples[:-1]
    assert trace.standard_error(before) > 0.08 * np.mean(before)


def test_lucky_probes_do_not_stop_it():
    # Its samples are 1 + 2 z0 z1: the first few may agree by chance.
    matrix = jnp.array([[0.5, 1.0], [1.0, 0.5]])
    h = curvature.linear_operator(lambda v: matrix @ v, jnp.zeros(2))
    for seed in range(5):
        found = curvature.hutchinson_trace(
            h, jax.random.key(seed), num_probes=60, tol=0.3, min_probes=10
        )
        assert found.matvecs > 10


@pytest.mark.full
def test_one_probe_has_no_error():
    p = dense_hessian.load("mlp_init")
    found = curvature.hutchinson_trace(p.hessian(), KEY, num_probes=1)
    assert np.isnan(found.standard_error) and np.isfinite(found.value)


@pytest.mark.full
def test_hutchpp_is_better_on_few_large_eigenvalues():
    values = np.concatenate([[1e3, 500.0, 300.0], np.full(40, 0.01)])
    rng = np.random.default_rng(0)
    q = np.linalg.qr(rng.normal(size=(43, 43)))[0]
    matrix = jnp.asarray(q @ np.diag(values) @ q.T)
    h = curvature.linear_operator(lambda v: matrix @ v, matrix[0])
    exact = values.sum()
    plain = curvature.hutchinson_trace(h, KEY, num_probes=30)
    better = curvature.hutchpp_trace(h, KEY, num_matvecs=30)
    assert better.matvecs == 30
    assert better.standard_error < 1e-2 * plain.standard_error
    assert abs(better.value - exact) <= 5 * better.standard_error + 1e-9
    np.testing.assert_allclose(np.mean(better.samples), better.value)


@pytest.mark.full
@pytest.mark.parametrize("dtype", [jnp.float64, jnp.float32])
def test_hutchpp_of_low_rank_is_exact(dtype):
    h = dense_hessian.diagonal(np.array([3.0, -1.0, 0.5] + 20 * [0.0]), dtype)
    found = curvature.hutchpp_trace(h, KEY, num_matvecs=24)
    rtol = 1e-12 if dtype == jnp.float64 else 1e-5
    np.testing.assert_allclose(found.value, 2.5, rtol=rtol)
    assert found.matvecs == 8 + 3 + 8
    zero = curvature.hutchpp_trace(dense_hessian.diagonal(np.zeros(9)), KEY)
    assert zero.value == 0 and zero.standard_error == 0


@pytest.mark.full(plain=["mlp_init"])
@pytest.mark.parametrize("name", ["mlp_init", "mlp_mse"])
def test_the_diagonal(name):
    p = dense_hessian.load(name)
    found = curvature.hutchinson_diagonal(p.hessian(), KEY, num_probes=150)
    error = dense_hessian.flat(found.standard_error)
    away = np.abs(dense_hessian.flat(found.value) - p.arrays["hessian/diag"])
    assert np.all(away <= 6 * error + 1e-12)
    matrix = dense_hessian.dense(p.hessian())
    variance = (np.sum(matrix**2, axis=1) - np.diag(matrix) ** 2) / 150
    seen = variance > 1e-12 * variance.max()
    ratio = error[seen] ** 2 / variance[seen]
    np.testing.assert_allclose(np.median(ratio), 1, rtol=0.15)


@pytest.mark.full
def test_the_diagonal_of_few_probes():
    h = dense_hessian.diagonal(np.arange(9.0), jnp.float32)
    one = curvature.hutchinson_diagonal(h, KEY, num_probes=1)
    assert np.all(np.isnan(dense_hessian.flat(one.standard_error)))
    np.testing.assert_array_equal(dense_hessian.flat(one.value), np.arange(9.0))
    two = curvature.hutchinson_diagonal(h, KEY, num_probes=3)
    np.testing.assert_array_equal(dense_hessian.flat(two.standard_error), 0)


@pytest.mark.full
def test_matfree_agrees():
    from matfree import stochtrace

    p = dense_hessian.load("mlp_init")
    h = p.hessian()
    matrix = jnp.asarray(dense_hessian.dense(h))
    sampler = stochtrace.sampler_signs(matrix[0], num=400)
    integrand = stochtrace.monte_carlo_trace()
    other = stochtrace.estimator_monte_carlo(integrand, sampler)
    value = float(other(lambda v: matrix @ v, KEY))
    ours = curvature.hutchinson_trace(h, KEY, num_probes=400, chunk=100)
    assert abs(value - ours.value) <= 4 * np.sqrt(2) * ours.standard_error


@pytest.mark.full
def test_power_iteration_of_the_recorded_start():
    for name in CASES:
        p = dense_hessian.load(name)
        found = curvature.power_iteration(
            p.hessian(),
            KEY,
            num_steps=30,
            tol=0.0,
            start=p.tree(p.arrays["lanczos/v0"]),
        )
        expected = p.arrays["power/rayleigh"]
        np.testing.assert_allclose(found.history, expected, rtol=1e-8, atol=1e-10)
        assert found.matvecs == 30 and found.value == found.history[-1]


@pytest.mark.full
def test_power_iteration_understates_and_finds_magnitudes():
    p = dense_hessian.load("mlp_trained")
    exact = p.arrays["hessian/eigenvalues"]
    found = curvature.power_iteration(p.hessian(), KEY, tol=1e-3, num_steps=500)
    assert found.residual <= 1e-3 * found.value
    assert found.value < exact[-1]
    top = curvature.top_eigenvalues(p.hessian(), KEY, num_steps=found.matvecs)
    assert abs(top.values[0] - exact[-1]) < abs(found.value - exact[-1])
    negative = dense_hessian.diagonal(np.array([1.0, -4.0, 0.5]))
    found = curvature.power_iteration(negative, KEY, tol=1e-8)
    np.testing.assert_allclose(found.value, -4, rtol=1e-10)
    zero = curvature.power_iteration(dense_hessian.diagonal(np.zeros(5)), KEY)
    assert (zero.value, zero.residual, zero.matvecs) == (0, 0, 1)


H = curvature.linear_operator(lambda v: v, jnp.ones(3))


class Loader:
    def __iter__(self):
        return iter([jnp.ones(3)])


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: curvature.hutchinson_trace(H, KEY, num_probes=0), "num_probes"),
        (
            lambda: curvature.hutchinson_trace(H, KEY, min_probes=1),
            "min_probes must be at least 2; got 1",
        ),
        (lambda: curvature.hutchinson_trace(H, KEY, chunk=0), "chunk must be a whole"),
        (
            lambda: curvature.hutchinson_trace(H, KEY, probe="sphere"),
            "unknown probe 'sphere'",
        ),
        (
            lambda: curvature.hutchinson_trace(
                curvature.hessian(lambda w, x: jnp.mean(w * x), jnp.ones(3), Loader()),
                KEY,
                chunk=2,
            ),
            "chunk = 2 needs batches that are held: give them as a list",
        ),
        (
            lambda: curvature.hutchpp_trace(H, KEY, num_matvecs=10),
            "num_matvecs must be a multiple of 3; got 10",
        ),
        (lambda: curvature.hutchinson_diagonal(H, KEY, num_probes=0), "num_probes"),
        (
            lambda: curvature.power_iteration(H, KEY, start=jnp.zeros(3)),
            "start must not be the zero vector",
        ),
        (
            lambda: curvature.power_iteration(H, KEY, start=jnp.zeros(4)),
            "start does not fit the operator",
        ),
        (lambda: curvature.power_iteration(H, KEY, tol=-1.0), "tol must be at least 0"),
        (lambda: curvature.power_iteration(H, KEY, num_steps=0), "num_steps must be"),
    ],
)
def test_bad_options(call, words):
    with pytest.raises(InputError, match=words):
        call()
