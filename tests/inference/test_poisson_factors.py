"""The sampler of Poisson factors: its stationary distribution, and exact cases."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.inference import (
    FactorPrior,
    PoissonFactors,
    allocate_counts,
    draw_poisson_factors,
    poisson_factor_rates,
    start_poisson_factors,
    sweep_poisson_factors,
)
from jaxopt_lab.inference import poisson_factor_sweep as sampler

PRIOR = FactorPrior(loading=0.5, mass=2.0, weight_rate=1.5, shape=4.0, rate=4.0)
CHAINS, ROUNDS = 1500, 3


def prior_draws(seed, dynamic=True):
    """All chains' variables by NumPy."""
    rng = np.random.default_rng(seed)
    loadings = np.swapaxes(rng.dirichlet([PRIOR.loading] * 2, (CHAINS, 2)), 1, 2)
    weights = rng.gamma(PRIOR.mass / 2, 1 / PRIOR.weight_rate, (CHAINS, 2))
    rates = rng.gamma(PRIOR.shape, 1 / PRIOR.rate, (CHAINS, 3))
    scores = [np.ones((CHAINS, 2))]
    for t in range(3):
        shape = scores[-1] if dynamic else scores[0]
        scores.append(np.maximum(rng.gamma(shape) / rates[:, t, None], 1e-30))
    return PoissonFactors(loadings, weights, np.stack(scores[1:], 1), rates)


def squashed(state):
    """Bounded functions of all variables, whose means are compared, ``(CHAINS, n)``."""

    def x(y):
        return y / (1 + y)

    loading, weight, score, rate = (np.asarray(y) for y in state)
    n = np.einsum("ctk,ck,cvk->ctv", score, weight, loading).reshape(CHAINS, -1)
    weight, score, rate = x(weight)[:, :1], x(score)[:, :, 0], x(rate)
    seen = [weight, weight**2, loading[:, 0], loading[:, 0] ** 2, score, score**2]
    seen += [rate, rate[:, 1:] * score[:, :-1], score[:, 1:] * score[:, :-1]]
    return np.concatenate([*seen, score * weight, x(n)], 1)


@functools.partial(jax.jit, static_argnames=("binary", "dynamic"))
def rounds(key, states, prior, binary=False, dynamic=True):
    """The variables of each chain some sweeps later, counts drawn before each."""

    def chain(given):
        key, state = given
        mask, swept = jax.random.split(key)
        # Some of the chains miss all counts, some none.
        share = jax.random.randint(mask, (), 0, 3) / 2
        where = jax.random.uniform(mask, (3, 2)) < share

        def advance(state, key):
            drawn, own = jax.random.split(key)
            n = jax.random.poisson(drawn, poisson_factor_rates(state), dtype=jnp.int32)
            options = {"binary": binary, "dynamic": dynamic, "prior": prior}
            sweep = functools.partial(
                sweep_poisson_factors, own, state, where=where, **options
            )
            two = jax.lax.map(sweep, jnp.stack([n, jnp.where(where, n, n + 50)]))
            unread = jnp.stack([jnp.all(x[0] == x[1]) for x in two])
            return PoissonFactors(*(x[0] for x in two)), unread

        return jax.lax.scan(advance, state, jax.random.split(swept, ROUNDS))

    # Compiles much faster than a vmap.
    return jax.lax.map(chain, (jax.random.split(key, CHAINS), states))


def deviations(seed, prior=PRIOR, dynamic=True, **options):
    """Differences of the means in standard errors; missing counts are not read."""
    before = prior_draws(seed, dynamic)
    key = jax.random.key(seed)
    after, unread = rounds(key, before, prior, dynamic=dynamic, **options)
    assert np.all(unread)
    d = squashed(after) - squashed(before)
    return np.abs(d.mean(0)) / (d.std(0) / len(d) ** 0.5)


@pytest.mark.full(near="sweeps_leave")
def test_sweeps_leave_the_joint_distribution_as_it_is():
    assert np.max(deviations(0)) < 3.8


@pytest.mark.full(near="sweeps_leave")
@pytest.mark.parametrize("options", [{"binary": True}, {"dynamic": False}])
def test_so_do_those_of_binary_and_of_static_counts(options):
    assert np.max(deviations(1, **options)) < 3.8


@pytest.mark.full(near="sweeps_leave")
def test_wrong_sweeps_are_seen(monkeypatch):
    other = PRIOR._replace(rate=5.0)
    assert np.max(deviations(2, other)) > 6
    right = sampler._backwards
    monkeypatch.setattr(sampler, "_backwards", lambda *a: (0 * a[1], right(*a)[1]))
    rounds.clear_cache()
    try:
        assert np.max(deviations(2)) > 6
    finally:
        rounds.clear_cache()


@pytest.mark.full(near="sweeps_leave")
@pytest.mark.parametrize("dynamic", [True, False])
def test_draws_of_the_prior(dynamic):
    draw = functools.partial(
        draw_poisson_factors,
        steps=3,
        features=2,
        factors=2,
        dynamic=dynamic,
        prior=PRIOR,
    )
    drawn = jax.jit(jax.vmap(draw))(jax.random.split(jax.random.key(5), CHAINS))
    one, two = squashed(drawn), squashed(prior_draws(5, dynamic))
    error = np.sqrt((one.var(0) + two.var(0)) / CHAINS)
    assert np.max(np.abs(one.mean(0) - two.mean(0)) / error) < 3.8


def one_number(n):
    """One count, one factor, one step: 2,000 sweeps from the same variables."""
    ones = jnp.ones((1, 1))
    state = PoissonFactors(ones, 2 * ones[0], 3 * ones, 0.5 * ones[0])
    sweep = jax.vmap(
        lambda key, n: sweep_poisson_factors(key, state, n), in_axes=(0, None)
    )
    return sweep(jax.random.split(jax.random.key(3), 2000), n)


def test_one_count_has_the_conjugate_posterior():
    sampled = jax.jit(one_number)
    for n in (0, 4):
        drawn = sampled(jnp.full((1, 1), n))
        theta = np.asarray(drawn.scores)[:, 0, 0]
        exact = stats.gamma(1 + n, scale=1 / 2.5)
        assert stats.kstest(theta, exact.cdf).pvalue > 1e-3
        # Given theta, the weight is Ga(10 + n, 1 + theta), the rate Ga(2, 1 + theta).
        for found, shape in ((drawn.weights, 10 + n), (drawn.rates, 2)):
            scaled = np.asarray(found)[:, 0] * (1 + theta)
            assert stats.kstest(scaled, stats.gamma(shape).cdf).pvalue > 1e-3
        np.testing.assert_array_equal(drawn.loadings, 1)


def test_a_start_has_the_mean_of_the_counts_and_sweeps_keep_its_types():
    counts = jnp.array([[3, 0, 2], [5, 1, 900]], jnp.int32)
    start = jax.jit(functools.partial(start_poisson_factors, factors=4))
    state = jax.device_get(start(jax.random.key(0), counts))
    np.testing.assert_allclose(state.loadings.sum(0), 1, rtol=1e-6)
    rates = np.asarray(jax.jit(poisson_factor_rates)(state))
    np.testing.assert_allclose(rates.mean(), 911 / 6, rtol=1e-5)
    after = jax.eval_shape(sweep_poisson_factors, jax.random.key(1), state, counts)
    for x, y in zip(state, after, strict=True):
        assert (x.shape, x.dtype) == (y.shape, y.dtype) and x.dtype == jnp.float32


def test_events_are_conserved_and_choose_by_their_chances():
    rng = np.random.default_rng(0)
    counts = rng.poisson(60, (5, 3))
    scores, loadings = rng.gamma(1, 1, (5, 4)), rng.gamma(1, 1, (3, 4))
    by_step, by_feature = jax.jit(allocate_counts)(
        jax.random.key(0), counts, scores, loadings
    )
    np.testing.assert_array_equal(by_step.sum(1), counts.sum(1))
    np.testing.assert_array_equal(by_feature.sum(1), counts.sum(0))
    chances = scores[:, None] * loadings[None]
    wanted = counts[..., None] * chances / chances.sum(2, keepdims=True)
    for found, mean in ((by_step, wanted.sum(1)), (by_feature, wanted.sum(0))):
        chi = np.sum((np.asarray(found) - mean) ** 2 / mean)
        assert stats.chi2.sf(chi, found.shape[0] * 3) > 1e-3


def test_products_below_the_least_float_still_choose():
    tiny = jnp.array([[1e-30, 1e-38]], jnp.float32)
    by_step, _ = allocate_counts(jax.random.key(0), jnp.array([[9]]), tiny, tiny)
    assert by_step.tolist() == [[9, 0]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"counts": np.ones((2, 3))}, "counts must be integers of shape"),
        ({"counts": np.ones((3, 2), int)}, "counts must be integers of shape"),
        ({"counts": -np.ones((2, 3), int)}, "counts must be at least 0; got -1"),
        ({"where": np.ones((2, 3))}, "where must be booleans of shape"),
        ({"key": 0}, "key must be a typed key"),
        ({"binary": 1}, "binary must be True or False"),
    ],
)
def test_bad_input(change, message):
    counts = np.ones((2, 3), int)
    ones = np.ones((2, 1))
    state = PoissonFactors(np.ones((3, 1)), np.ones(1), ones, np.ones(2))
    given = {"key": jax.random.key(0), "factors": state, "counts": counts, **change}
    with pytest.raises(InputError, match=message):
        sweep_poisson_factors(**given)
