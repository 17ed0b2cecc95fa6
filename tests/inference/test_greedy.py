"""Greedy decoding against a plain loop over a small recurrent model."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.inference import greedy

RNG = np.random.default_rng(0)
TOKENS, WIDTH = 7, 5
PARAMS = {
    "embedding": RNG.normal(size=(TOKENS, WIDTH)),
    "hidden": RNG.normal(size=(WIDTH, WIDTH)),
    "position": RNG.normal(size=WIDTH),
    "out": RNG.normal(size=(WIDTH, TOKENS)),
}
PROMPT = np.array([[1, 2, 3, 4], [5, 0, 0, 0], [6, 6, 2, 0]])
LENGTHS = np.array([4, 1, 3])


def model_step(params, cache, tokens, position):
    where = jnp.sin(position.astype(cache.dtype)) * params["position"]
    hidden = jnp.tanh(
        params["embedding"][tokens] + cache @ params["hidden"] + where[None]
    )
    return hidden @ params["out"], hidden


def plain(prompt, new, end=None, pad=0):
    """One row, token by token."""
    hidden, tokens = np.zeros(WIDTH), list(prompt)
    for position in range(len(prompt) + new - 1):
        where = np.sin(position) * PARAMS["position"]
        hidden = np.tanh(
            PARAMS["embedding"][tokens[position]] + hidden @ PARAMS["hidden"] + where
        )
        if position + 1 >= len(prompt):
            tokens.append(int(np.argmax(hidden @ PARAMS["out"])))
            if tokens[-1] == end:
                break
    return tokens + [pad] * (len(prompt) + new - len(tokens))


@jax.jit
def decode(prompt, lengths, end=-1):
    cache = jnp.zeros((len(prompt), WIDTH))
    return greedy(
        model_step,
        jax.tree.map(jnp.asarray, PARAMS),
        prompt,
        cache=cache,
        lengths=lengths,
        max_tokens=6,
        end=end,
        pad=9,
    )


def rows(lengths, end=None):
    return [
        plain(PROMPT[b, :n], 10 - n, end, 9) for b, n in enumerate(lengths.tolist())
    ]


def test_it_is_the_plain_loop_for_all_lengths_in_one_program():
    for lengths in (LENGTHS, np.array([2, 3, 1]), np.array([4, 4, 4])):
        found = decode(PROMPT, lengths)
        np.testing.assert_array_equal(found.tokens, rows(lengths))
        assert int(found.calls) == 9
        assert int(found.steps) == 10 - int(lengths.min())
    assert decode._cache_size() == 1


def test_rows_end_by_themselves():
    free = np.asarray(decode(PROMPT, LENGTHS).tokens)
    end = int(free[0, 5])
    found = decode(PROMPT, LENGTHS, end)
    np.testing.assert_array_equal(found.tokens, rows(LENGTHS, end))


def test_the_loop_stops_when_all_rows_have_ended():
    def model(params, cache, tokens, position):
        return jax.nn.one_hot((tokens + 1) % 6, 6), cache

    found = greedy(
        model,
        {},
        jnp.array([[1, 2], [4, 0]]),
        cache=(),
        end=5,
        pad=7,
        lengths=jnp.array([2, 1]),
        max_tokens=20,
    )
    assert found.tokens[:, :6].tolist() == [[1, 2, 3, 4, 5, 7], [4, 5, 7, 7, 7, 7]]
    assert bool(jnp.all(found.tokens[:, 6:] == 7))
    assert int(found.calls) == 4 and int(found.steps) == 4


def test_an_end_in_the_prompt_does_not_end_the_row():
    def model(params, cache, tokens, position):
        return jax.nn.one_hot((tokens + 1) % 6, 6), cache

    prompt = jnp.array([[5, 5, 2]])
    found = greedy(model, {}, prompt, cache=(), end=5, max_tokens=3)
    assert found.tokens.tolist() == [[5, 5, 2, 3, 4, 5]]


def test_the_first_of_equal_logits_is_taken_and_nan_is_seen():
    def model(params, cache, tokens, position):
        logits = jnp.zeros((2, 4)).at[:, 2:].set(1.0)
        spoilt = (position == 1) & (jnp.arange(2) == 1)
        return jnp.where(spoilt[:, None], jnp.nan, logits), cache

    found = greedy(model, {}, jnp.ones((2, 1), int), cache=(), max_tokens=4)
    assert found.tokens.tolist() == [[1, 2, 2, 2, 2], [1, 2, -1, 0, 0]]


@pytest.mark.parametrize(
    "prompt, options, words",
    [
        (np.ones(3, int), {}, r"integers of shape \(rows, tokens\)"),
        (np.ones((2, 3)), {}, "got float64"),
        (np.ones((2, 0), int), {}, "at least one token"),
        (np.ones((2, 3), int), {"max_tokens": 0}, "max_tokens must be a whole"),
        (np.ones((2, 3), int), {"lengths": np.ones(3, int)}, r"of shape \(2,\)"),
        (np.ones((2, 3), int), {"lengths": np.ones(2)}, "got float64"),
        (
            np.ones((2, 3), int),
            {"lengths": [1, 4]},
            "lengths must be from 1 to 3; got 4",
        ),
        (np.ones((2, 3), int), {"lengths": [0, 1]}, "from 1 to 3; got 0"),
        (np.full((1, 2), -3), {}, "prompt must hold tokens of at least 0; got -3"),
        (np.full((1, 2), 2**31), {}, "prompt must hold tokens of at least 0; got 2147"),
        (np.ones((1, 2), int), {"end": 2.5}, "end must be a whole number; got 2.5"),
        (np.ones((1, 2), int), {"end": np.ones(2, int)}, "end must be a whole number"),
        (np.ones((1, 2), int), {"end": True}, "end must be a whole number; got True"),
        (np.ones((1, 2), int), {"pad": 1.5}, "pad must be a whole number; got 1.5"),
        (np.ones((1, 2), int), {"pad": "x"}, "pad must be a whole number; got 'x'"),
    ],
)
def test_bad_input(prompt, options, words):
    with pytest.raises(InputError, match=words):
        greedy(model_step, PARAMS, prompt, cache=(), **options)


def test_padding_of_a_prompt_may_be_anything_and_ends_may_be_arrays():
    prompt, plain = np.array([[1, -1]]), np.array([[1, 0]])
    given = {"cache": (), "max_tokens": 2, "lengths": [1]}
    model = lambda params, cache, tokens, position: (jnp.zeros((1, 3)), cache)
    found = greedy(model, {}, prompt, end=jnp.int32(-1), **given)
    assert found.tokens.tolist() == greedy(model, {}, plain, **given).tokens.tolist()
