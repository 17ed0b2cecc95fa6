"""CreditDecoding against recorded runs, by row and at its limits."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.inference import credit_decoding, credit_step

FOLDER = pathlib.Path(__file__).parents[1] / "vectors" / "creditdecoding"
RNG = np.random.default_rng(3)
TOKENS, MASK = 6, 5
TABLE = 3 * RNG.normal(size=(TOKENS, TOKENS))
PROMPT = RNG.integers(0, MASK, (3, 4))
LENGTHS = np.array([4, 1, 3])


@pytest.mark.parametrize("case", ["case1", "case2"])
def test_vectors(case):
    """A model whose logits are those recorded at each step decodes one block."""
    with np.load(FOLDER / f"{case}.npz") as file:
        a = {n: file[n] for n in file.files}
    meta = json.loads(str(a["meta"]))
    steps, mask = meta["steps"], meta["mask_id"]
    options = {n: meta[n] for n in ("threshold", "alpha", "gamma", "beta")}
    logits = np.stack([a[f"batch/{t}/logits"] for t in range(steps)])
    one = jax.jit(lambda z, c, m: credit_step(z, c, m, mask=mask, **options))
    tokens = np.full(logits.shape[1:3], mask)
    credits = np.zeros(logits.shape[1:], np.float32)
    for t in range(steps):
        found = one(logits[t], credits, tokens == mask)
        tokens = np.where(found.decided, found.tokens, tokens)
        credits = found.credits
        np.testing.assert_array_equal(tokens, a[f"out/{t}/tokens"])
        if t < steps - 1:
            np.testing.assert_allclose(credits, a[f"out/{t}/credit"], rtol=1e-5)

    def model_step(params, cache, tokens, columns):
        return params[jnp.minimum(cache, steps - 1)], cache + 1

    whole = jax.jit(
        lambda z: credit_decoding(
            model_step,
            z,
            jnp.zeros((z.shape[1], 1), int),
            cache=jnp.int32(0),
            max_tokens=z.shape[2],
            block=z.shape[2],
            mask=mask,
            **options,
        )
    )(logits)
    np.testing.assert_array_equal(whole.tokens[:, 1:], tokens)
    assert int(whole.calls) == steps


def model_step(params, cache, tokens, columns):
    """From the token before a column and, less, from the one behind it."""
    last = tokens.shape[1] - 1
    before = jnp.take_along_axis(tokens, columns - 1, axis=1)
    behind = jnp.take_along_axis(tokens, jnp.minimum(columns + 1, last), axis=1)
    return params[before] + 0.3 * params[behind], cache + 1


@jax.jit
def decode(prompt, lengths, threshold=0.6, alpha=0.7, end=-1):
    return credit_decoding(
        model_step,
        jnp.asarray(TABLE),
        prompt,
        cache=jnp.int32(0),
        lengths=lengths,
        max_tokens=7,
        end=end,
        pad=9,
        block=4,
        threshold=threshold,
        alpha=alpha,
    )


def test_rows_do_not_depend_on_each_other_and_one_program_serves_all():
    together = decode(PROMPT, LENGTHS)
    assert int(together.calls) < 10 and MASK not in np.asarray(together.tokens)
    for b in range(3):
        order = np.roll(np.arange(3), b)
        turned = decode(PROMPT[order], LENGTHS[order])
        np.testing.assert_array_equal(turned.tokens, together.tokens[order])
    other = decode(PROMPT, np.array([2, 1, 1]))
    np.testing.assert_array_equal(other.tokens[1], together.tokens[1])
    assert decode._cache_size() == 1


def test_thresholds():
    """At 1 one token a call; at 0 a block a call; credits never cost a call here."""
    one = decode(PROMPT[:1].repeat(3, 0), LENGTHS * 0 + 4, 1.0)
    assert int(one.calls) == 7
    assert int(decode(PROMPT, LENGTHS * 0 + 4, 0.0).calls) == 2
    plain, credited = (decode(PROMPT, LENGTHS, 0.8, alpha) for alpha in (0.0, 0.7))
    assert int(credited.calls) <= int(plain.calls)


def test_a_row_ends_with_its_block():
    free = np.asarray(decode(PROMPT, LENGTHS).tokens)
    end = int(free[0, 5])
    found = np.asarray(decode(PROMPT, LENGTHS, end=end).tokens)
    for b, n in enumerate(LENGTHS):
        new = free[b, n:].tolist()
        cut = new.index(end) + 1 if end in new else len(new)
        wanted = new[:cut] + [9] * (len(new) - cut)
        # A block that is decided before the end is the same with and without one.
        assert found[b, n:].tolist() == wanted


def test_nan_ends_its_row_alone():
    clean = decode(PROMPT, LENGTHS).tokens

    def bad(params, cache, tokens, columns):
        logits, cache = model_step(params, cache, tokens, columns)
        spoilt = (jnp.arange(3) == 1)[:, None, None] & (columns[..., None] >= 3)
        return jnp.where(spoilt, jnp.nan, logits), cache

    found = credit_decoding(
        bad,
        jnp.asarray(TABLE),
        PROMPT,
        cache=jnp.int32(0),
        lengths=LENGTHS,
        max_tokens=7,
        pad=9,
        block=4,
        threshold=0.6,
    )
    np.testing.assert_array_equal(found.tokens[::2], clean[::2])
    assert found.tokens[1, 1:].tolist() == [-1] + [9] * 9


@pytest.mark.parametrize(
    "options, words",
    [
        ({"block": 0}, "block must be a whole number of at least 1"),
        ({"threshold": 1.5}, r"threshold must lie in \[0, 1\]; got 1.5"),
        ({"alpha": -1.0}, "alpha must be at least 0"),
        ({"mask": 6}, "mask must be one of 6 tokens; got 6"),
        ({"max_tokens": 0}, "max_tokens must be a whole"),
    ],
)
def test_bad_input(options, words):
    with pytest.raises(InputError, match=words):
        credit_decoding(
            model_step, jnp.asarray(TABLE), PROMPT, cache=jnp.int32(0), **options
        )


def test_a_model_of_the_next_token_is_refused():
    with pytest.raises(InputError, match=r"logits of shape \(3, 32, 'V'\); got"):
        credit_decoding(
            lambda params, cache, tokens, columns: (jnp.zeros((3, 6)), cache),
            (),
            PROMPT,
            cache=(),
        )
