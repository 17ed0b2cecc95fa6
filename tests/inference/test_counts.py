"""Draws of counts against exact distributions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.inference import crt, positive_poisson

DRAWS = 5_000


def table_chances(n, r):
    """Distribution of the sum of Bernoulli numbers, by convolution."""
    p = np.ones(1)
    for i in range(n):
        chance = r / (r + i)
        p = np.convolve(p, [1 - chance, chance])
    return p


def chi_square_p(drawn, chances):
    """p-value of Pearson's test, rare values joined."""
    found = np.bincount(drawn, minlength=len(chances)).astype(float)
    assert len(found) == len(chances) and found[chances == 0].sum() == 0
    wanted = DRAWS * chances
    often = wanted > 5
    found = np.append(found[often], found[~often].sum())
    wanted = np.append(wanted[often], wanted[~often].sum())
    distance = np.sum((found - wanted)[wanted > 0] ** 2 / wanted[wanted > 0])
    return stats.chi2.sf(distance, max(np.sum(wanted > 0) - 1, 1))


def test_tables_have_their_distribution():
    # 40 and 75 customers take more than one block of draws.
    n, r = np.array([0, 1, 2, 7, 40, 75]), np.array([0.5, 0.5, 2.0, 0.3, 4.0, 1e-3])
    tables = np.asarray(
        jax.jit(crt)(jax.random.key(0), np.broadcast_to(n, (DRAWS, 6)), r[None])
    )
    assert np.all(tables[:, 0] == 0) and np.all(tables[:, 1] == 1)
    for i in range(2, 6):
        assert chi_square_p(tables[:, i], table_chances(n[i], r[i])) > 1e-3
    means = [np.sum(ri / (ri + np.arange(ni))) for ni, ri in zip(n, r, strict=True)]
    np.testing.assert_allclose(tables.mean(0), means, atol=0.1)


def test_ends_of_the_concentration_and_what_is_no_number():
    key = jax.random.key(1)
    n = np.array([0, 1, 70, 70, 3, -1, 3])
    r = np.array([0.0, 0.0, 0.0, np.inf, np.nan, 1.0, -1.0])
    assert crt(key, n, r).tolist() == [0, 1, 1, 70, -1, -1, -1]
    assert crt(key, np.zeros((0,), int), np.zeros((0,))).shape == (0,)


def test_small_concentrations_open_no_tables_by_rounding():
    tables = jax.jit(crt)(jax.random.key(2), jnp.full((500,), 400), jnp.float32(1e-30))
    assert np.all(np.asarray(tables) == 1)


def test_tables_of_single_keys_are_those_of_a_stack():
    keys = jax.random.split(jax.random.key(3), 3)
    n, r = jnp.array([[3, 50], [0, 0], [90, 1]]), jnp.float32(1.5)
    stacked = jax.jit(jax.vmap(crt, (0, 0, None)))(keys, n, r)
    single = jax.jit(crt)
    assert stacked.tolist() == [
        single(k, m, r).tolist() for k, m in zip(keys, n, strict=True)
    ]


def test_positive_counts_have_their_distribution():
    rates = np.array([1e-9, 0.3, 2.0, 30.0, 1e6, 0.0, np.nan, -1.0], np.float32)
    drawn = jax.jit(positive_poisson)(
        jax.random.key(4), np.broadcast_to(rates, (DRAWS, len(rates)))
    )
    assert drawn.dtype == jnp.int32
    ends = np.asarray(drawn[:, 5:])
    assert np.all(ends == [1, -1, -1])
    drawn, rates = np.asarray(drawn[:, :5]), rates[:5].astype(float)
    means = rates / -np.expm1(-rates)
    np.testing.assert_allclose(drawn.mean(0), means, rtol=0.02)
    for i, rate in enumerate(rates[:4]):
        chances = stats.poisson.pmf(np.arange(61), rate)
        chances[0] = 0
        assert chi_square_p(drawn[:, i], chances / chances.sum()) > 1e-3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda key: crt(key, 1.5, 1.0), "counts must be of an integer type"),
        (lambda key: crt(key, 1, 1), "concentration must be of a floating type"),
        (lambda key: crt(0, 1, 1.0), "key must be a typed key"),
        (lambda key: positive_poisson(key, 3), "rate must be of a floating type"),
        (lambda key: positive_poisson(3, 3.0), "key must be a typed key"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InputError, match=message):
        call(jax.random.key(0))
