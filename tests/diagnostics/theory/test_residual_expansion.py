"""The terms of a residual network against products, matrix exponentials and limits."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.diagnostics import expansion_sum, path_count, residual_expansion
from jaxopt_lab.diagnostics.theory import residual_expansion as module

WEIGHTS = np.random.default_rng(0).normal(size=(4, 3, 3)) / 2
X = np.array([0.5, -1.0, 2.0])
LINEAR = [lambda x, w=w: w @ x for w in WEIGHTS]
TANH = [lambda x, w=w: jnp.tanh(w @ x) for w in WEIGHTS]


def test_linear_modules_are_sums_over_paths():
    found = jax.jit(lambda x: residual_expansion(LINEAR, x, scale=0.7, order=4))(X)
    for k in range(5):
        term = 0
        for path in itertools.combinations(range(4), k):
            y = X
            for i in path:  # the later module on the left
                y = WEIGHTS[i] @ y
            term = term + y
        np.testing.assert_allclose(found.terms[k], term, rtol=1e-12, atol=1e-14)
    product = X
    for w in WEIGHTS:
        product = product + 0.7 * w @ product
    np.testing.assert_allclose(expansion_sum(found.terms, 0.7), product, rtol=1e-12)
    np.testing.assert_allclose(found.output, product, rtol=1e-12)
    assert found.error < 1e-13


def test_equal_modules_approach_the_matrix_exponential():
    w, gaps = WEIGHTS[0], []
    run = lambda n: residual_expansion([LINEAR[0]] * n, X, scale=1 / n, order=2)
    for n in (4, 8):
        found = jax.jit(run, static_argnums=0)(n)
        wanted = path_count(n, 2) * w @ w @ X
        np.testing.assert_allclose(found.terms[2], wanted, rtol=1e-12)
        gaps.append(np.max(np.abs(found.output - scipy.linalg.expm(w) @ X)))
    assert 1.6 < gaps[0] / gaps[1] < 2.4


def test_the_remainder_is_of_the_next_order():
    run = jax.jit(lambda x, s: residual_expansion(TANH, x, scale=s, order=3))
    errors = [float(run(X, s).error) for s in (0.1, 0.05, 0.025)]
    ratios = [one / two for one, two in itertools.pairwise(errors)]
    np.testing.assert_allclose(ratios, 16, rtol=0.1)


def test_first_order_is_the_derivative_and_zero_the_input():
    def network(s):
        x = jnp.asarray(X)
        for block in TANH:
            x = x + s * block(x)
        return x

    @jax.jit
    def both(x):
        terms = residual_expansion(TANH, x, order=1).terms
        return terms, jax.jvp(network, (0.0,), (1.0,))[1]

    terms, slope = both(X)
    np.testing.assert_allclose(terms[1], slope, rtol=1e-12)
    np.testing.assert_array_equal(terms[0], X)


def test_modules_without_a_rule_for_series_take_nested_derivatives():
    softly = [lambda x, w=w: jax.scipy.special.erfc(w @ x) for w in WEIGHTS]
    x = jnp.asarray(X)
    series = [x, 0.3 * x, -0.1 * x]

    @jax.jit
    def ways(series):
        one, two = (f(TANH[0], series) for f in (module._through, module._nested))
        return one, two, residual_expansion(softly, x, scale=0.1, order=2)

    one, two, found = ways(series)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    assert found.error < 0.02 * found.value


def test_paths():
    alone = residual_expansion([], X, order=0)
    np.testing.assert_array_equal(alone.output, X)
    assert sum(path_count(7, k) for k in range(8)) == 2**7


def test_what_does_not_fit():
    with pytest.raises(InputError, match=r"block 1 changes the shape \(3,\) to \(1,\)"):
        residual_expansion([jnp.sin, lambda x: x[:1]], X)
    with pytest.raises(InputError, match="takes real floating inputs; got int64"):
        residual_expansion([], np.arange(3))
    with pytest.raises(InputError, match="order must be a whole number of at least 0"):
        residual_expansion([], X, order=-1)
