"""stability: parity with the vectors, the dense map, the order of the tests."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import vectors

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.curvature.stability import sample_hessians as sh
from jaxopt_lab.curvature.stability.second_moment import (
    exact_threshold,
    noise_weights,
    second_moment_map,
    spectral_radius,
)
from jaxopt_lab.curvature.stability.thresholds import (
    coherence,
    simple_thresholds,
    stable_lr,
)

CASES = vectors.cases("sgd_stability")
SAMPLINGS = ("bernoulli", "with_replacement", "without_replacement")


@functools.cache
def load(name):
    with np.load(vectors.VECTORS / "sgd_stability" / f"{name}.npz") as file:
        arrays = {key: file[key] for key in file.files}
    json.loads(str(arrays.pop("meta")))
    return arrays


def test_there_are_cases():
    assert len(CASES) == 5


@functools.partial(jax.jit, static_argnames="sampling")
def thresholds(h, batch_sizes, sampling="bernoulli"):
    find = lambda b: exact_threshold(h, b, sampling=sampling)
    return jax.vmap(find)(batch_sizes)


@pytest.mark.full(plain=["groups_sigma2"])
@pytest.mark.parametrize("name", CASES)
def test_parity_of_coherence_and_simple_tests(name):
    case = load(name)
    h = sh.from_hessians(jnp.asarray(case["H"]))
    measured = coherence(h)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-10)
    np.testing.assert_allclose(measured.alignment, case["S"], rtol=1e-10, atol=1e-12)
    close(measured.sigma, case["sigma"])
    close(measured.sigma_per_sample, case["sigma"] / len(case["H"]))
    close(measured.mean_eigenvalue, case["lambda1_mean"])
    close(sh.max_eigenvalues(h), case["lambda1_each"])
    for i, b in enumerate(case["batch_sizes"]):
        found = simple_thresholds(measured, int(b))
        close(found.gradient_descent, case["eta_gd"])
        close(found.coherence, case["eta_theorem1"][i])
        close(found.max_sample, case["eta_maxsample"][i])
        close(found.converse, case["eta_theorem2"][i])


@pytest.mark.full(plain=["rank1_random-with_replacement"])
@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("name", CASES)
def test_parity_of_the_exact_threshold(name, sampling):
    case = load(name)
    h = sh.from_hessians(jnp.asarray(case["H"]))
    found = thresholds(h, jnp.asarray(case["batch_sizes"]), sampling)
    expected = case[f"eta_exact_{sampling}"]
    np.testing.assert_allclose(found.learning_rate, expected, rtol=1e-10)
    assert np.max(found.relative_residual) < 1e-9


@pytest.mark.full(plain=["rank1_random"])
@pytest.mark.parametrize("name", CASES)
def test_parity_of_the_spectral_radius(name):
    case = load(name)
    h = sh.from_hessians(jnp.asarray(case["H"]))
    radius = jax.vmap(lambda eta, b: spectral_radius(h, eta, b).value)
    rows = jax.jit(jax.vmap(radius, in_axes=(0, None)))
    got = rows(jnp.asarray(case["rho_eta"]), jnp.asarray(case["batch_sizes"]))
    np.testing.assert_allclose(got, case["rho_bernoulli"], rtol=1e-10, atol=1e-14)


@pytest.mark.full
@pytest.mark.parametrize("name", CASES)
def test_float32(name):
    case = load(name)
    h = sh.from_hessians(jnp.asarray(case["H"], jnp.float32))
    found = thresholds(h, jnp.asarray(case["batch_sizes"], jnp.int32))
    assert found.learning_rate.dtype == jnp.float32
    expected = case["eta_exact_bernoulli"]
    np.testing.assert_allclose(found.learning_rate, expected, rtol=5e-6)


@pytest.mark.full
def test_groups_formula_is_exact():
    # n / sigma groups of sigma identical Hessians of rank 1: the converse is tight.
    for sigma, groups in ((1, 5), (3, 2), (4, 1)):
        n, top = sigma * groups, 1.7
        basis = np.repeat(np.eye(groups), sigma, axis=0)
        h = sh.from_hessians(jnp.asarray(top * np.einsum("ni,nj->nij", basis, basis)))
        measured = coherence(h)
        np.testing.assert_allclose(measured.sigma, sigma, rtol=1e-12)
        for b in (1, 2, n):
            converse = 2 * sigma / (top * sigma / n * (n / b + sigma - 1))
            found = exact_threshold(h, b).learning_rate
            np.testing.assert_allclose(found, min(converse, 2 * n / top / sigma))
            simple = simple_thresholds(measured, b)
            np.testing.assert_allclose(simple.converse, converse, rtol=1e-12)


def random_hessians(seed, n, d, rank):
    rng = np.random.default_rng(seed)
    scale = rng.lognormal(0, 1, size=(n, 1, 1))
    a = scale * rng.normal(size=(n, rank, d)) / np.sqrt(d)
    return np.einsum("ncp,ncq->npq", a, a)


def moment_of_a_batch(hs, eta, b, sampling):
    """E[(I - eta Hb) x (I - eta Hb)] by summing over all batches."""
    n, d = hs.shape[:2]
    total, mass = np.zeros((d * d, d * d)), 0.0

    def add(weights, probability):
        nonlocal total, mass
        j = np.eye(d) - eta * np.tensordot(weights, hs, 1)
        total, mass = total + probability * np.kron(j, j), mass + probability

    if sampling == "with_replacement":
        for draws in np.ndindex(*(n,) * b):
            add(np.bincount(draws, minlength=n) / b, n**-b)
    else:
        for bits in np.ndindex(*(2,) * n):
            k = sum(bits)
            if sampling == "bernoulli":
                add(np.array(bits) / b, (b / n) ** k * (1 - b / n) ** (n - k))
            elif k == b:
                add(np.array(bits) / b, 1.0)
    return total / mass


def dense(h):
    """The Hessians as matrices, in the coordinates of h."""
    return np.einsum("ncr,ncs->nrs", h.factors, h.factors)


@pytest.mark.full
@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    rank=st.integers(1, 3),
    b=st.integers(1, 3),
    sampling=st.sampled_from(SAMPLINGS),
    eta=st.floats(0.05, 3.0),
)
def test_the_map_is_the_mean_over_all_batches(seed, rank, b, sampling, eta):
    h = sh.compress(sh.from_hessians(jnp.asarray(random_hessians(seed, 3, 4, rank))))
    expected = moment_of_a_batch(dense(h), eta, b, sampling)
    r = h.eigenvalues.size
    m = np.random.default_rng(seed).normal(size=(r, r))
    m = m @ m.T
    got = second_moment_map(h, eta, b, sampling=sampling)(jnp.asarray(m))
    moved = (expected @ m.ravel()).reshape(r, r)
    np.testing.assert_allclose(got, moved, rtol=1e-9, atol=1e-9 * np.abs(moved).max())
    radius = np.max(np.abs(np.linalg.eigvals(expected)))
    found = spectral_radius(h, eta, b, sampling=sampling)
    np.testing.assert_allclose(found.value, radius, rtol=1e-8)
    at = float(exact_threshold(h, b, sampling=sampling).learning_rate)
    for factor, grows in ((0.999, False), (1.001, True)):
        matrix = moment_of_a_batch(dense(h), factor * at, b, sampling)
        assert (np.max(np.abs(np.linalg.eigvals(matrix))) > 1) == grows


@pytest.mark.full
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), rank=st.integers(1, 3), b=st.integers(1, 6))
def test_exact_is_below_max_sample_is_below_coherence(seed, rank, b):
    h = sh.from_hessians(jnp.asarray(random_hessians(seed, 6, 4, rank)))
    simple = simple_thresholds(coherence(h), b)
    exact = thresholds(h, jnp.asarray([b]))
    slack = 1 + 1e-9
    assert exact.learning_rate[0] <= simple.max_sample * slack
    assert simple.max_sample <= simple.coherence * slack
    assert simple.coherence <= simple.gradient_descent * slack


@pytest.mark.full
def test_the_converse_is_no_general_lower_bound():
    # The label in the docstring rests on this set, stable below 5/6 of it only.
    rng = np.random.default_rng(34)
    a = rng.lognormal(0, 0.5, size=(4, 1, 1)) * rng.normal(size=(4, 2, 4))
    h = sh.from_hessians(jnp.asarray(np.einsum("ncp,ncq->npq", a, a)))
    converse = float(simple_thresholds(coherence(h), 1).converse)
    exact = float(thresholds(h, jnp.asarray([1])).learning_rate[0])
    assert 1.19 < converse / exact < 1.21
    eta = 0.95 * converse
    matrix = moment_of_a_batch(dense(sh.compress(h)), eta, 1, "bernoulli")
    assert np.max(np.abs(np.linalg.eigvals(matrix))) > 1.01


@pytest.mark.full
def test_full_batches_are_gradient_descent():
    h = sh.from_hessians(jnp.asarray(random_hessians(0, 5, 4, 2)))
    flat = 2 / h.eigenvalues[0]
    for sampling in ("bernoulli", "without_replacement"):
        found = exact_threshold(h, 5, sampling=sampling).learning_rate
        np.testing.assert_allclose(found, flat, rtol=1e-10)
    simple = simple_thresholds(coherence(h), 5)
    np.testing.assert_allclose(simple.coherence, flat, rtol=1e-12)


@pytest.mark.full
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_subsample_that_repeats_stands_for_the_population(sampling):
    hs = random_hessians(3, 4, 3, 2)
    few = sh.from_hessians(jnp.asarray(hs))
    many = sh.from_hessians(jnp.asarray(np.concatenate([hs] * 3)))
    for b in (1, 2, 12):
        one = exact_threshold(few, b, sampling=sampling, population=12).learning_rate
        two = exact_threshold(many, b, sampling=sampling).learning_rate
        np.testing.assert_allclose(one, two, rtol=1e-10)
    one, two = coherence(few), coherence(many)
    np.testing.assert_allclose(one.sigma_per_sample, two.sigma_per_sample, rtol=1e-12)
    for a, b in zip(
        simple_thresholds(one, 2, population=12), simple_thresholds(two, 2), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-12)


@pytest.mark.full
def test_the_null_space_does_not_matter():
    hs = random_hessians(5, 4, 3, 1)
    wide = np.pad(hs, ((0, 0), (0, 3), (0, 3)))
    found = [
        float(exact_threshold(h, 2).learning_rate)
        for h in (
            sh.from_hessians(jnp.asarray(hs)),
            sh.from_hessians(jnp.asarray(wide)),
            sh.compress(sh.from_hessians(jnp.asarray(wide))),
        )
    ]
    np.testing.assert_allclose(found, found[0], rtol=1e-10)
    h = sh.from_hessians(jnp.asarray(wide))
    # The null space alone would give 1.
    assert spectral_radius(h, found[0] / 2, 2).value < 1 - 1e-6


@pytest.mark.full
def test_zero_hessians_never_diverge():
    h = sh.from_hessians(jnp.zeros((3, 2, 2)))
    assert exact_threshold(h, 1).learning_rate == np.inf
    assert all(rate == np.inf for rate in simple_thresholds(coherence(h), 1))
    assert spectral_radius(h, 1.0, 1).value == 0


@pytest.mark.full
def test_stable_lr_of_a_two_layer_linear_network():
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(6, 3)))
    params = {
        k: jnp.asarray(rng.normal(size=s)) for k, s in (("a", (3, 2)), ("b", (2, 1)))
    }
    model = lambda p, x: x @ p["a"] @ p["b"]
    y = model(params, x)
    flat = lambda w: {"a": w[:6].reshape(3, 2), "b": w[6:].reshape(2, 1)}
    loss = lambda w, i: jnp.sum((model(flat(w), x[i][None]) - y[i][None]) ** 2) / 2
    point = jnp.concatenate([params["a"].ravel(), params["b"].ravel()])
    hs = jnp.stack([jax.hessian(loss)(point, i) for i in range(6)])
    h = sh.from_hessians(hs, rtol=1e-10)
    for sampling in SAMPLINGS:
        found = stable_lr(
            model,
            params,
            x,
            batch_size=2,
            output_loss="squared_error",
            sampling=sampling,
        )
        expected = exact_threshold(h, 2, sampling=sampling).learning_rate
        np.testing.assert_allclose(found.exact, expected, rtol=1e-9)
    measured = coherence(h)
    np.testing.assert_allclose(found.sigma, measured.sigma, rtol=1e-9)
    np.testing.assert_allclose(found.sigma_per_sample * 6, measured.sigma, rtol=1e-9)
    np.testing.assert_allclose(
        found.simple.coherence, simple_thresholds(measured, 2).coherence, rtol=1e-9
    )
    assert found.num_samples == 6


ONE = jax.jit(sh.from_hessians)(np.ones((3, 1, 1)))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: exact_threshold(ONE, 4), "batch_size must lie in 1 to 3"),
        (lambda: exact_threshold(ONE, 0), "batch_size must lie in 1 to 3"),
        (lambda: exact_threshold(ONE, 1, sampling="with"), "unknown sampling 'with'"),
        (lambda: exact_threshold(ONE, 1, max_steps=0), "max_steps must be a whole"),
        (lambda: exact_threshold(ONE, 1, tol=-1.0), "tol must be at least 0; got -1.0"),
        (lambda: spectral_radius(ONE, -1.0, 1), "learning_rate must be at least 0"),
        (lambda: noise_weights(1, 0, "bernoulli"), "batch_size must lie in 1 to 0"),
        (lambda: simple_thresholds(coherence(ONE), 4), "batch_size must lie in 1 to 3"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(InputError, match=words):
        call()
