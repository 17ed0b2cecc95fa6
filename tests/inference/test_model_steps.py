"""Steps of one kind made from another, and limits of rows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.inference import Draft, greedy, next_step, speculative, uncached_step

RNG = np.random.default_rng(1)
TABLE = jnp.asarray(RNG.normal(size=(5, 5)))


def apply(params, tokens):
    """Logits from a fading sum over the tokens up to each."""
    length = tokens.shape[1]
    apart = jnp.arange(length)[:, None] - jnp.arange(length)[None]
    weights = jnp.where(apart >= 0, 0.5**apart, 0)
    return jnp.einsum("ts,bsv->btv", weights, params[tokens])


def plain(prompt, total):
    tokens = list(prompt)
    while len(tokens) < total:
        logits = apply(TABLE, jnp.asarray([tokens + [0] * (12 - len(tokens))]))
        tokens.append(int(np.argmax(logits[0, len(tokens) - 1])))
    return tokens


def test_rows_of_a_model_without_a_cache_end_at_their_limits():
    prompt, lengths = np.array([[1, 2, 3], [4, 0, 0]]), np.array([3, 1])
    step, empty = uncached_step(apply), jnp.zeros((2, 9), jnp.int32)

    @jax.jit
    def decode(lengths, limits):
        given = {"cache": empty, "lengths": lengths, "limits": limits}
        given |= {"max_tokens": 6, "pad": 7}
        one = greedy(next_step(step), TABLE, prompt, **given)
        draft = Draft(step, TABLE + 0.2, empty)
        two = speculative(step, TABLE, prompt, draft=draft, drafts=2, **given)
        return one, two

    for limits in ([9, 9], [5, 2], [3, 4], [0, 0]):
        found = decode(lengths, np.array(limits))
        for decoded in found:
            for row, text, n, most in zip(
                decoded.tokens, prompt, lengths, limits, strict=True
            ):
                wanted = plain(text[:n].tolist(), max(most, n))
                assert row.tolist() == wanted + [7] * (9 - len(wanted))
        made = max(max(m - n, 0) for m, n in zip(limits, lengths, strict=True))
        assert found[0].steps == 0 if made == 0 else int(found[0].steps) >= made
    assert int(decode(lengths, np.array([0, 0]))[0].calls) == 0
    assert decode._cache_size() == 1


def test_a_cache_that_is_too_short_is_seen():
    step, prompt = uncached_step(apply), np.array([[1, 2, 3]])
    decode = lambda length: greedy(
        next_step(step), TABLE, prompt, cache=jnp.zeros((1, length), int), max_tokens=3
    )
    wanted = decode(6).tokens[0].tolist()
    # The token of the last column is known, those behind it are not.
    assert decode(4).tokens[0].tolist() == [*wanted[:5], -1]
    with pytest.raises(InputError, match="2 columns is too short for 3 tokens"):
        step(TABLE, jnp.zeros((1, 2), int), jnp.asarray(prompt), jnp.zeros(1, int))
