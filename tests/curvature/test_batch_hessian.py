"""batch_hessian, element_variance, polyak: against simulated matrices."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.curvature import hessian
from jaxopt_lab.curvature.stability.batch_hessian import (
    adam_max_learning_rate,
    batch_eigenvalue,
    critical_batch_size,
    inverse_batch_size,
    sgd_max_learning_rate,
)
from jaxopt_lab.curvature.stability.element_variance import element_variance
from jaxopt_lab.curvature.stability.polyak import polyak

SIZE, BATCH, SD = 600, 20.0, 1.0


@functools.cache
def noise(seed=0):
    """A symmetric matrix, elements of variance SD^2 / BATCH off the diagonal."""
    g = np.random.default_rng(seed).normal(size=(SIZE, SIZE))
    return SD / BATCH**0.5 * (np.triu(g) + np.triu(g, 1).T)


@pytest.mark.full(plain=["3.0", "5.0", "7.0", "10.0", "20.0", "-9.0", "-2.0"])
@pytest.mark.parametrize("eigenvalue", [0.0, 3.0, 5.0, 7.0, 10.0, 20.0, -9.0, -2.0])
def test_simulated_matrices_on_both_sides_of_the_threshold(eigenvalue):
    # The threshold is at s sqrt(P / b) = 5.48.
    matrix = noise().copy()
    matrix[0, 0] += eigenvalue
    values = np.linalg.eigvalsh(matrix)
    measured = values[0] if eigenvalue < 0 else values[-1]
    predicted = batch_eigenvalue(eigenvalue, SD**2, SIZE, BATCH)
    np.testing.assert_allclose(measured, predicted, rtol=0.035)
    # Without the noise's contribution it would be far off.
    assert abs(measured / eigenvalue - 1) > 0.06 if eigenvalue else measured > 10


def test_the_branches_meet_at_the_critical_batch_size():
    at = float(critical_batch_size(4.0, 0.3, 700))
    np.testing.assert_allclose(at, 700 * 0.3 / 16, rtol=1e-12)
    for b in (at * (1 - 1e-9), at, at * (1 + 1e-9)):
        found = batch_eigenvalue(4.0, 0.3, 700, b)
        np.testing.assert_allclose(found, 8.0, rtol=1e-8)
    assert critical_batch_size(0.0, 0.3, 700) == np.inf


def test_the_full_batch_has_the_eigenvalue_itself():
    assert inverse_batch_size(100, 100) == 0
    for value in (3.0, -0.5):
        assert batch_eigenvalue(value, 2.0, 10, 100, dataset_size=100) == value
    full = sgd_max_learning_rate(4.0, 2.0, 10, 100, dataset_size=100)
    np.testing.assert_allclose(full, 0.5, rtol=1e-15)
    assert sgd_max_learning_rate(0.0, 0.0, 10, 5) == np.inf


def slope(rate, at):
    return float(jax.grad(lambda x: jnp.log(rate(jnp.exp(x))))(jnp.log(at)))


@pytest.mark.full
def test_slopes_in_a_log_log_plot():
    sgd = lambda b, edge: sgd_max_learning_rate(2.0, 1.0, 4000, b, edge=edge)
    adam = lambda b, edge: adam_max_learning_rate(
        0.01, 32, 2.0, 1.0, 4000, b, edge=edge
    )
    low, critical, high = 1.0, 1000.0, 1e6
    linear = lambda b: sgd(b, False)
    np.testing.assert_allclose(slope(linear, low), 1, atol=0.01)
    np.testing.assert_allclose(slope(linear, high), 0, atol=0.01)
    np.testing.assert_allclose(slope(lambda b: adam(b, False), low), 0.5, atol=0.01)
    np.testing.assert_allclose(slope(lambda b: adam(b, False), high), 0, atol=0.01)
    # With both branches, a square root at most.
    both = lambda b: sgd(b, True)
    np.testing.assert_allclose(slope(both, low), 0.5, atol=1e-9)
    np.testing.assert_allclose(slope(both, critical * 1.0001), 0.5, atol=1e-3)
    assert 0 < slope(both, critical * 3) < 0.5
    assert adam(32.0, True) == 0.01


def test_batch_sizes_may_be_arrays_and_traced():
    sizes = jnp.asarray([1.0, 10.0, 1e5])
    found = jax.jit(lambda b: batch_eigenvalue(2.0, 1.0, 4000, b))(sizes)
    expected = [float(batch_eigenvalue(2.0, 1.0, 4000, float(b))) for b in sizes]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_derivatives_are_finite_at_zero():
    grad = jax.grad(lambda v, s: batch_eigenvalue(v, s, 10, 4), argnums=(0, 1))
    assert all(np.isfinite(g) for g in grad(0.0, 0.0))


def loss(w, batch):
    return jnp.mean(jnp.einsum("i,nij,j->n", w["a"], batch, w["a"])) / 2


@pytest.mark.full
def test_element_variance_is_that_of_the_elements():
    # Symmetric matrices with elements of variance 2 (diagonal too).
    rng = np.random.default_rng(0)
    n, p, b = 512, 8, 16
    g = rng.normal(size=(n, p, p)) * 2**0.5
    examples = jnp.asarray(np.triu(g) + np.swapaxes(np.triu(g, 1), 1, 2) + 3)
    params = {"a": jnp.ones(p)}
    batches = [examples[i : i + b] for i in range(0, n, b)]
    operators = [hessian(loss, params, [batch]) for batch in batches]
    found = element_variance(operators, jax.random.key(0), batch_size=b, num_probes=4)
    exact = float(jnp.mean(jnp.var(examples, axis=0, ddof=1)))
    assert abs(found.value - exact) < 4 * found.standard_error
    assert abs(found.value - 2) < 0.3 and 0.005 < found.standard_error < 0.3


@pytest.mark.parametrize("condition", [1.0, 9.0, 100.0])
def test_polyak_is_the_best_rate_of_the_heavy_ball(condition):
    values = np.linspace(1, condition, 30)

    def radius(rate, momentum):
        worst = 0.0
        for v in values:
            m = [[1 + momentum - rate * v, -momentum], [1, 0]]
            worst = max(worst, np.max(np.abs(np.linalg.eigvals(np.array(m)))))
        return worst

    found = polyak(condition, 1.0)
    rate, momentum = float(found.learning_rate), float(found.momentum)
    best = (condition**0.5 - 1) / (condition**0.5 + 1)
    # A double root: rounding errors of eigenvalues are roots of eps.
    np.testing.assert_allclose(radius(rate, momentum), best, atol=1e-7)
    if condition > 1:
        for other in ((1.05, 1), (0.95, 1), (1, 0.95), (1, 1.05)):
            assert radius(rate * other[0], momentum * other[1]) > best


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: batch_eigenvalue(1.0, -1.0, 3, 2),
            "element_variance must be at least",
        ),
        (lambda: batch_eigenvalue(1.0, 1.0, 0, 2), "num_params must be a whole number"),
        (lambda: inverse_batch_size(0), "batch_size must lie in 1 to inf; got 0"),
        (lambda: inverse_batch_size(9, 8), "batch_size must lie in 1 to 8; got 9"),
        (lambda: polyak(1.0, 2.0), "smallest must lie in 0 to largest = 1.0; got 2.0"),
        (
            lambda: adam_max_learning_rate(-1.0, 1, 1.0, 1.0, 2, 1),
            "reference_rate must be at least 0",
        ),
        (
            lambda: element_variance([], jax.random.key(0), batch_size=1),
            "at least 2 operators and 2 probes; got 0 and 8",
        ),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(InputError, match=words):
        call()
