"""Sampling: exact distributions on a model of three tokens, by filters in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.inference import filtered_logits, sample

TABLE = np.array([[0.6, 0.3, 0.1], [0.2, 0.2, 0.6], [0.05, 0.9, 0.05]])
DRAWS = 100_000
POINT = {1: 10.83, 2: 13.82, 26: 54.05}
"""99.9 % points of chi-square by degrees of freedom."""


def markov_step(params, cache, tokens, position):
    return params[tokens], cache


@jax.jit
def plain(table, key, temperature):
    return sample(
        markov_step,
        jnp.log(table),
        jnp.zeros((DRAWS, 1), int),
        cache=(),
        key=key,
        max_tokens=3,
        temperature=temperature,
    ).tokens


def chances(p, temperature=1.0, top_k=0, top_p=1.0):
    """The distribution that is to be drawn from, one row of three in NumPy."""
    p = p ** (1 / temperature)
    order = np.argsort(-p, kind="stable")[: top_k or len(p)]
    q = p[order] / p[order].sum()
    kept = order[np.cumsum(q) - q < top_p]
    found = np.zeros_like(p)
    found[kept] = p[kept]
    return found / found.sum()


def distance(tokens, table):
    """Pearson's chi-square of all three tokens after a 0, and the cells without it."""
    cells = np.indices((3, 3, 3)).reshape(3, -1).T
    p = np.array([table[0, a] * table[a, b] * table[b, c] for a, b, c in cells])
    count = np.bincount(tokens[:, 1:] @ [9, 3, 1], minlength=27)
    assert np.all(count[p == 0] == 0)
    p, count = p[p > 0], count[p > 0]
    return float(np.sum((count - DRAWS * p) ** 2 / (DRAWS * p)))


def test_sequences_have_the_distribution_of_the_model():
    for seed, temperature in enumerate((1.0, 0.5)):
        key = jax.random.key(seed, impl="rbg")
        tokens = np.asarray(plain(TABLE, key, temperature))
        wanted = np.stack([chances(row, temperature) for row in TABLE])
        assert distance(tokens, wanted) < POINT[26]
    assert distance(tokens, TABLE) > 1000
    # Cold, it is the greedy loop.
    cold = np.asarray(plain(TABLE, jax.random.key(3, impl="rbg"), 0.0))
    assert np.all(cold == [0, 0, 0, 0])
    assert plain._cache_size() == 1


def test_top_k_and_top_p_draw_from_the_tokens_that_are_left():
    def one(key):
        options = {"top_k": 2, "top_p": 0.7, "temperature": 0.8}
        prompt = jnp.broadcast_to(jnp.arange(3)[None], (DRAWS, 3)).reshape(-1, 1)
        found = sample(
            markov_step,
            jnp.log(TABLE),
            prompt,
            cache=(),
            key=key,
            max_tokens=1,
            **options,
        )
        return found.tokens

    tokens = np.asarray(jax.jit(one)(jax.random.key(0, impl="rbg")))
    for row in range(3):
        drawn = tokens[tokens[:, 0] == row, 1]
        wanted = chances(TABLE[row], 0.8, 2, 0.7)
        count = np.bincount(drawn, minlength=3)
        assert np.all(count[wanted == 0] == 0)
        p = wanted[wanted > 0]
        square = np.sum((count[wanted > 0] - DRAWS * p) ** 2 / (DRAWS * p))
        assert square < POINT[2]


RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(4, 9))
LOGITS[1, 3] = LOGITS[1, 7] = LOGITS[1].max() + 1  # a tie
LOGITS[2, :4] = -np.inf


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_filtered_logits_are_those_of_numpy(dtype):
    filtered = jax.jit(
        lambda z, t, p: [
            filtered_logits(z, temperature=t, top_k=k, top_p=p) for k in (0, 1, 3, 50)
        ]
    )
    z = LOGITS.astype(dtype)
    for temperature, top_p in ((1.0, 1.0), (0.3, 0.6), (2.0, 0.05)):
        for k, found in zip(
            (0, 1, 3, 50), filtered(z, temperature, top_p), strict=True
        ):
            assert found.dtype == dtype
            p = np.exp(z.astype(np.float64))
            wanted = [chances(row, temperature, k, top_p) for row in p]
            np.testing.assert_allclose(jax.nn.softmax(found), wanted, atol=1e-6)
            assert np.all((np.asarray(found) > -np.inf) == (np.asarray(wanted) > 0))


def test_extreme_logits_and_temperatures():
    z = jnp.array(
        [
            [0.0, 1e30, -1e30],
            [jnp.inf, 0.0, jnp.inf],
            [0.0, 0.0, -jnp.inf],
            [0.0, jnp.nan, 1.0],
        ]
    )
    for temperature in (1e-30, 1e30):
        found = np.asarray(filtered_logits(z, temperature=temperature))
        assert found[0, 1] == 0 and np.isnan(found[3]).all()
        assert found[1].tolist() == [0, -np.inf, 0]
        assert found[2].tolist() == [0, 0, -np.inf]
    cold = np.asarray(filtered_logits(z, temperature=0.0))
    assert (cold[:3] == 0).argmax(1).tolist() == [1, 0, 0]
    assert np.isneginf(cold[:3]).sum() == 6


@pytest.mark.parametrize(
    "options, words",
    [
        ({"temperature": -1.0}, "temperature must be at least 0; got -1.0"),
        ({"top_k": -1}, "top_k must be a whole number of at least 0; got -1"),
        ({"top_p": 0.0}, r"top_p must lie in \(0, 1\]; got 0.0"),
        ({"key": None}, "key must be given"),
        ({"key": 0}, "key must be a typed key"),
        ({"limits": np.ones(3, int)}, r"limits must be integers of shape \(1,\)"),
    ],
)
def test_bad_input(options, words):
    given = {"key": jax.random.key(0), **options}
    with pytest.raises(InputError, match=words):
        sample(markov_step, TABLE, jnp.zeros((1, 1), int), cache=(), **given)
