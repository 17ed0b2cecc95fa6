"""Random effects against NumPy, closed forms and their exact limits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import (
    random_effect_scale_bias,
    random_effects,
    random_effects_kl,
)

RNG = np.random.default_rng(0)
X, GROUP = RNG.normal(size=(5, 2, 3)), np.array([0, 1, -1, 1, 0])
GAMMA, BETA = RNG.normal(size=(2, 2, 3))
LAYER = random_effects(3, groups=2, param_dtype=jnp.float64)


def test_scale_and_bias():
    """By a loop; a group that was never seen has the fixed effects alone."""
    with jax.numpy_rank_promotion("raise"):
        found = jax.jit(random_effect_scale_bias)(X, GROUP, GAMMA, BETA)
    for n, g in enumerate(GROUP):
        wanted = X[n] if g < 0 else (1 + GAMMA[g]) * X[n] + BETA[g]
        np.testing.assert_allclose(found[n], wanted, rtol=1e-14)
    np.testing.assert_array_equal(found[2], X[2])


def test_training_draws_and_evaluation_takes_the_mean():
    @jax.jit
    def outputs(key):
        params, state = LAYER.init(key)
        run = lambda key: LAYER.apply(params, state, (X, GROUP), train=True, key=key)
        draws = jax.vmap(lambda k: run(k)[0])(jax.random.split(key, 4000))
        mean = LAYER.apply(params, state, (X, GROUP), train=False)[0]
        means = params["scale_mean"], params["bias_mean"]
        x, group = jnp.asarray(X), jnp.asarray(GROUP)
        return params, draws, mean, random_effect_scale_bias(x, group, *means)

    params, draws, mean, wanted = outputs(jax.random.key(0))
    np.testing.assert_array_equal(mean, wanted)
    # y = (1 + gamma) x + beta: deviation s sqrt(x^2 + 1), the same for a whole group.
    deviation = 0.05 * np.sqrt(X**2 + 1)
    deviation[2] = 0
    np.testing.assert_allclose(draws.mean(0), mean, atol=5e-3 * np.abs(X).max())
    np.testing.assert_allclose(draws.std(0), deviation, rtol=0.06, atol=1e-12)
    # One draw a group: examples 1 and 3 determine gamma and beta of group 1.
    one, two = np.asarray(draws)[0, [1, 3], 0]
    gamma = (one - two) / (X[1, 0] - X[3, 0])
    again = gamma * X[1, 1] + one - gamma * X[1, 0]
    np.testing.assert_allclose(draws[0, 1, 1], again, rtol=1e-9)
    assert np.all(np.exp(params["scale_log_sd"]).round(12) == 0.05)


def test_divergence():
    """Against the integral, 0 at the prior, and its gradient there."""
    m, s, prior = 0.3, 0.1, 0.25
    z = np.linspace(-3, 3, 20001)
    p = np.exp(-((z - m) ** 2) / (2 * s * s)) / (s * np.sqrt(2 * np.pi))
    log_ratio = np.log(prior / s) - (z - m) ** 2 / (2 * s * s) + z**2 / (2 * prior**2)
    shape = (2, 3)
    at = lambda mean, sd: {
        f"{name}_{what}": np.full(shape, value)
        for name in ("scale", "bias")
        for what, value in (("mean", mean), ("log_sd", np.log(sd)))
    }

    @jax.jit
    def found(params):
        tree = {"encoder": {"norm": params, "kernel_mean": jnp.ones(2)}}
        return jax.value_and_grad(random_effects_kl)(tree)

    value, _ = found(at(m, s))
    np.testing.assert_allclose(value, 12 * np.trapezoid(p * log_ratio, z), rtol=1e-9)
    value, slopes = found(at(0.0, prior))
    assert abs(value) < 1e-14
    assert all(np.all(np.abs(g) < 1e-14) for g in jax.tree.leaves(slopes))


def test_refused():
    params, state = LAYER.init(jax.random.key(0))
    apply = lambda group, **o: LAYER.apply(params, state, (X, group), train=True, **o)
    with pytest.raises(InputError, match="sample=True draws random numbers"):
        apply(GROUP)
    with pytest.raises(InputError, match="from -1, none, to 1; got 0 to 2"):
        apply(np.array([0, 1, 2, 1, 0]), key=jax.random.key(0))
    with pytest.raises(InputError, match="integer for each of 5 examples"):
        apply(np.ones(5), key=jax.random.key(0))
    beyond = jax.jit(random_effect_scale_bias)(X, 5 + 0 * GROUP, GAMMA, BETA)
    assert np.all(np.isnan(beyond))
