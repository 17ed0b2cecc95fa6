"""Datamodels and KLoM: exact cases, and unlearning of a linear regression."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.diagnostics import (
    Datamodel,
    datamodel_change,
    fit_datamodel,
    klom,
    margins,
)
from jaxopt_lab.recipes import init_oracle_matching, make_oracle_matching_step

RNG = np.random.default_rng(0)


def every_subset(n):
    return (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(float)


def test_additive_outputs_are_found_and_few_models_do():
    subset = every_subset(4)
    weights, bias = RNG.normal(size=(4, 3)), RNG.normal(size=3)
    outputs = subset @ weights + bias
    ridge = 1e-3

    @jax.jit
    def run(subset, outputs):
        whole = fit_datamodel({"subset": subset, "outputs": outputs}, ridge=1e-12)
        few = {"subset": subset[5:8], "outputs": outputs[5:8]}
        wide = fit_datamodel(few, ridge=ridge)
        # A lasso of nothing takes the other way to the same ridge regression.
        thin = fit_datamodel(few, ridge=ridge, lasso=jnp.zeros(()), sweeps=2)
        return whole, wide, thin, datamodel_change(whole, subset)

    whole, wide, thin, change = run(subset, outputs)
    np.testing.assert_allclose(whole.weights, weights, rtol=1e-9)
    np.testing.assert_allclose(whole.bias, bias, rtol=1e-9)
    np.testing.assert_allclose(change, -subset @ weights, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(wide.weights, thin.weights, rtol=1e-7, atol=1e-10)
    x, y = (z[5:8] - z[5:8].mean(0) for z in (subset, outputs))
    left = x.T @ x / 3 + ridge * np.eye(4)
    wanted = np.linalg.solve(left, x.T @ y / 3)
    np.testing.assert_allclose(wide.weights, wanted, rtol=1e-9, atol=1e-12)


def test_lasso_of_uncorrelated_columns_is_a_soft_threshold_in_one_sweep():
    """In a full factorial design columns have the variance 1/4 and no covariance."""
    subset = every_subset(3)
    outputs = subset @ np.array([2.0, -0.3, 0.1]) + 5
    lasso = 0.05

    @jax.jit
    def run(subset, outputs):
        data = {"subset": subset, "outputs": outputs}
        return fit_datamodel(data, ridge=1e-12, lasso=lasso, sweeps=1)

    fitted = run(subset, outputs)
    np.testing.assert_allclose(fitted.weights, [1.8, -0.1, 0.0], rtol=1e-9)
    assert fitted.weights[2] == 0
    np.testing.assert_allclose(fitted.bias, outputs.mean() - 0.85, rtol=1e-9)


def test_lasso_meets_its_optimality_conditions():
    subset = RNG.integers(0, 2, size=(30, 6)).astype(float)
    outputs = subset @ np.array([1.0, -1.0, 0, 0, 0, 0.2]) + 0.1 * RNG.normal(size=30)
    data = {"subset": subset, "outputs": outputs}
    fitted = jax.jit(lambda d: fit_datamodel(d, ridge=0.01, lasso=0.03))(data)
    beta = np.asarray(fitted.weights)
    rest = outputs - subset @ beta - float(fitted.bias)
    slope = -subset.T @ rest / 30 + 0.01 * beta
    moved = beta != 0
    np.testing.assert_allclose(slope[moved], -0.03 * np.sign(beta[moved]), atol=1e-9)
    assert np.all(np.abs(slope[~moved]) <= 0.03 + 1e-9)
    np.testing.assert_allclose(rest.mean(), 0, atol=1e-9)
    assert 0 < moved.sum() < 6


def test_oracle_matching_ends_at_the_targets():
    """Outputs of a model with a parameter for each example can take any targets."""
    count = 6
    targets = RNG.normal(size=(count, 2))
    network = Functional(
        lambda key: (jnp.zeros((count, 2)), {}), lambda p, s, x, **_: (x @ p, s)
    )
    tx = optax.sgd(0.5)
    eye = np.eye(count)
    half = [
        {"image": eye[part], "target": targets[part]}
        for part in (slice(0, 3), slice(3, 6))
    ]
    batch = dict(zip(("forget", "retain"), half, strict=True))
    state = init_oracle_matching(tx, jnp.ones((count, 2)), jax.random.key(0))
    step = make_oracle_matching_step(network, tx)
    run = lambda state: jax.lax.scan(lambda s, _: step(s, batch), state, length=80)
    after, metrics = jax.jit(run)(state)
    np.testing.assert_allclose(after.params["model"], targets, rtol=1e-9)
    wanted = np.mean(np.sum((1 - targets[:3]) ** 2, axis=1))
    np.testing.assert_allclose(metrics["forget"][0], wanted, rtol=1e-12)


def test_klom_is_that_of_the_histograms():
    unlearned, retrained = RNG.normal(size=(40, 3)), RNG.normal(0.5, 1.0, (30, 3))
    found = jax.jit(klom)(unlearned, retrained)
    for i in range(3):
        p, q = unlearned[:, i], retrained[:, i]
        edges = np.linspace(min(p.min(), q.min()), max(p.max(), q.max()), 21)
        p, q = (np.histogram(x, edges)[0] / len(x) for x in (p, q))
        p, q = ((x + 1e-3) / (1 + 20e-3) for x in (p, q))
        np.testing.assert_allclose(found.each[i], np.sum(p * np.log(p / q)), rtol=1e-9)
    np.testing.assert_allclose(found.mean, np.mean(found.each), rtol=1e-12)
    far, constant = unlearned + 100.0, np.ones((4, 3))
    bound = np.log(1 + 1000)
    apart = np.asarray(jax.jit(klom)(far, retrained).each)
    assert np.all(apart > 0.9 * bound) and np.all(apart < bound)
    assert klom(constant, constant).mean == 0
    assert np.isnan(klom(constant * np.array([np.inf, 1, 1]), constant).each[0])


def test_margins_are_log_odds():
    z, labels = RNG.normal(size=(5, 3)), RNG.integers(0, 3, 5)
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    own = p[np.arange(5), labels]
    found = jax.jit(margins)(z, labels)
    np.testing.assert_allclose(found, np.log(own / (1 - own)), rtol=1e-9)


def test_bad_input_is_one_line():
    fitted = Datamodel(jnp.ones(3), jnp.zeros(()))
    data = {"subset": jnp.ones((2, 3)), "outputs": jnp.ones(3)}
    network = Functional(lambda key: ((), {}), lambda p, s, x, **_: (x * p, s))
    step = make_oracle_matching_step(network, optax.sgd(0.1))
    state = init_oracle_matching(optax.sgd(0.1), jnp.ones(()), jax.random.key(0))
    none = {"image": np.ones((0, 2)), "target": np.ones((0, 2))}
    for call, words in (
        (lambda: datamodel_change(fitted, jnp.ones((2, 3))), "every example"),
        (lambda: datamodel_change(fitted, jnp.ones(2)), "forget must"),
        (lambda: fit_datamodel(data), "subset must"),
        (lambda: fit_datamodel(data, ridge=0.0), "ridge must"),
        (lambda: klom(jnp.ones((0, 2)), jnp.ones((1, 2))), "at least one"),
        (lambda: margins(jnp.ones((2, 1)), jnp.zeros(2, int)), "two classes"),
        (lambda: step(state, {"forget": none, "retain": none}), "no examples"),
        (lambda: step(state, {"forget": none}), "no 'retain'"),
    ):
        with pytest.raises(InputError, match=words) as raised:
            call()
        assert "\n" not in str(raised.value)
