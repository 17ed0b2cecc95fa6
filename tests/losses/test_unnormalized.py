"""MECO against exact maximum likelihood on states that can be counted."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.losses import MecoState, meco, noise_contrastive
from jaxopt_lab.losses.unnormalized import importance_sampled

RNG = np.random.default_rng(0)
STATES = np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)], float)
DATA = STATES[[0, 1, 1, 2, 3, 4, 5, 6, 7, 7]]
PARAMS = {"b": RNG.normal(size=3), "w": RNG.normal(size=3)}
UNIFORM = np.full(8, -np.log(8))
PAIRS = ((0, 1), (0, 2), (1, 2))


def log_density(params, x):
    """A Boltzmann machine of three units, up to a constant."""
    products = jnp.stack([x[:, i] * x[:, j] for i, j in PAIRS], axis=1)
    return x @ params["b"] + products @ params["w"]


def exact(params):
    log_z = jax.nn.logsumexp(log_density(params, STATES))
    return log_z - jnp.mean(log_density(params, DATA))


def surrogate(params, state, x=STATES, log_q=UNIFORM, averaging=0.5, **more):
    losses, state = meco(averaging=averaging).apply(
        state, log_density(params, DATA), noise=log_density(params, x), log_q=log_q,
        **more,
    )  # fmt: skip
    return jnp.mean(losses), state


FIRST = MecoState(jnp.zeros(()), jnp.zeros((), jnp.int32))


def test_where_all_states_are_counted_the_first_step_is_that_of_the_likelihood():
    @jax.jit
    def run(params):
        found = jax.value_and_grad(surrogate, has_aux=True)(params, FIRST)
        return found, jax.value_and_grad(exact)(params)

    ((value, state), slope), (wanted, exact_slope) = run(PARAMS)
    np.testing.assert_allclose(value, wanted, rtol=1e-12)
    for name, g in slope.items():
        np.testing.assert_allclose(g, exact_slope[name], rtol=1e-10)
    assert int(state.count) == 1


def test_with_the_exact_normalizer_the_gradient_of_one_sample_has_no_bias():
    q = np.exp(RNG.normal(size=8))
    q /= q.sum()

    @jax.jit
    def run(params):
        log_z = jax.nn.logsumexp(log_density(params, STATES))

        def of(i):
            # So averaged that u stays the exact one, with this sample.
            one = jax.lax.dynamic_slice_in_dim(STATES, i, 1)
            log_q = jnp.log(jax.lax.dynamic_slice_in_dim(jnp.asarray(q), i, 1))
            state = MecoState(log_z, jnp.ones((), jnp.int32))
            return jax.grad(lambda p: surrogate(p, state, one, log_q, 1e-12)[0])(params)

        each = jax.vmap(of)(jnp.arange(8))
        mean = jax.tree.map(lambda g: jnp.asarray(q) @ g, each)
        return mean, jax.grad(exact)(params)

    mean, wanted = run(PARAMS)
    for name, g in mean.items():
        np.testing.assert_allclose(g, wanted[name], rtol=1e-7, atol=1e-9)


def test_averaging_1_is_importance_sampling_and_a_constant_says_nothing():
    x, log_q = STATES[[1, 4, 6]], np.log([0.2, 0.5, 0.3])
    later = MecoState(jnp.asarray(3.0), jnp.ones((), jnp.int32))

    @jax.jit
    def run(params, by):
        def of_samples(params):
            f = log_density(params, DATA) + by
            noise = log_density(params, x) + by
            return jnp.mean(importance_sampled(f, noise=noise, log_q=log_q))

        def ours(params):
            f = log_density(params, DATA) + by
            noise = log_density(params, x) + by
            losses, _ = meco(averaging=1.0).apply(later, f, noise=noise, log_q=log_q)
            return jnp.mean(losses)

        return [jax.value_and_grad(f)(params) for f in (ours, of_samples)]

    plain, huge = run(PARAMS, 0.0), run(PARAMS, 1e4)
    for one, other in (plain, huge, (plain[0], huge[0])):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-8), one, other
        )


@pytest.mark.parametrize("storm", [False, True])
def test_training_finds_the_parameters_of_the_largest_likelihood(storm):
    rate = 0.5

    @jax.jit
    def run(params):
        def step(carry, _):
            params, state, last = carry
            more = {"previous": log_density(last, STATES)} if storm else {}
            one = lambda p: surrogate(p, state, averaging=0.3, **more)
            slope, state = jax.grad(one, has_aux=True)(params)
            new = jax.tree.map(lambda p, g: p - rate * g, params, slope)
            return (new, state, params), None

        (params, state, last), _ = jax.lax.scan(
            step, (params, FIRST, params), length=1000
        )
        z = jnp.sum(jnp.exp(log_density(last, STATES)))
        return jax.grad(exact)(params), state.log_u - jnp.log(z)

    slope, gap = run(PARAMS)
    np.testing.assert_allclose(gap, 0, atol=1e-3)
    for g in slope.values():
        np.testing.assert_allclose(g, 0, atol=1e-3)


def test_a_correction_that_overshoots_stays_above_a_part_of_the_estimate():
    f = jnp.zeros(2)
    state = MecoState(jnp.zeros(()), jnp.ones((), jnp.int32))
    given = {"noise": f, "log_q": f, "previous": f + 9.0}
    _, after = meco(averaging=0.1).apply(state, f, **given)
    np.testing.assert_allclose(after.log_u, np.log(1e-3), rtol=1e-12)


def test_noise_contrast_at_the_truth_has_no_mean_gradient():
    @jax.jit
    def run(params):
        p = jax.nn.softmax(log_density(params, STATES))
        log_z = jax.nn.logsumexp(log_density(params, STATES))

        def mean(given):
            params, log_z = given
            f = log_density(params, STATES)
            weights = jax.lax.stop_gradient(p)
            # Every state as a data example, and as the noise, each by its probability.
            losses = noise_contrastive(
                f, log_q=UNIFORM, noise=f, log_q_noise=UNIFORM, log_z=log_z
            )
            return jnp.sum(weights * losses)

        return jax.grad(mean)((params, log_z))

    for g in jax.tree.leaves(run(PARAMS)):
        np.testing.assert_allclose(g, 0, atol=1e-12)


F = jnp.zeros(4)


@pytest.mark.parametrize(
    "run, words",
    [
        (lambda: meco(averaging=0.0), "averaging must lie in"),
        (
            lambda: meco().apply(FIRST, F, noise=F, log_q=F[:2]),
            r"log_q must have shape \(4,\)",
        ),
        (
            lambda: meco().apply(FIRST, F, noise=F, log_q=F, previous=F[:2]),
            r"previous must have shape \(4,\)",
        ),
        (lambda: meco().apply(FIRST, F[:, None], noise=F, log_q=F), "f must be real"),
        (
            lambda: noise_contrastive(F, log_q=F[:1], noise=F, log_q_noise=F),
            r"log_q must have shape \(4,\)",
        ),
    ],
)
def test_bad_input(run, words):
    with pytest.raises(InputError, match=words) as told:
        run()
    assert "\n" not in str(told.value)
