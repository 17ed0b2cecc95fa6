"""Speculative decoding: greedy tokens of the target, or its distribution."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from battery.programs import QUICK

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.inference import Draft, greedy, speculative
from jaxopt_lab.inference.speculative_round import seated_rows

RNG = np.random.default_rng(5)
TOKENS, NEW, DRAFTS = 7, 6, 3
ROWS, LONGEST = 1000, 5


def attention(width):
    """Parameters of one layer of attention, of so many features."""
    shapes = {"embed": (TOKENS, width), "place": (32, width), "out": (width, TOKENS)}
    shapes |= dict.fromkeys("qkv", (width, width))
    return {n: jnp.asarray(RNG.normal(size=s) / s[0] ** 0.5) for n, s in shapes.items()}


def empty(width, rows, length, dtype=jnp.float64):
    return {name: jnp.zeros((rows, length, width), dtype) for name in "kv"}


def chunk_step(params, cache, tokens, positions):
    """Causal attention over a cache of keys and values, each row at its position."""
    places = positions[:, None] + jnp.arange(tokens.shape[1], dtype=jnp.int32)[None]
    x = params["embed"][tokens] + params["place"][places]
    row = jnp.arange(len(tokens))[:, None]
    cache = {n: cache[n].at[row, places].set(x @ params[n]) for n in "kv"}
    scores = jnp.einsum("bnd,bld->bnl", x @ params["q"], cache["k"])
    length = scores.shape[2]
    seen = jnp.arange(length, dtype=jnp.int32)[None, None] <= places[..., None]
    weights = jax.nn.softmax(jnp.where(seen, scores, -jnp.inf))
    x = jnp.tanh(x + jnp.einsum("bnl,bld->bnd", weights, cache["v"]))
    return 4 * x @ params["out"], cache


def model_step(params, cache, tokens, position):
    positions = jnp.full(tokens.shape, position)
    logits, cache = chunk_step(params, cache, tokens[:, None], positions)
    return logits[:, 0], cache


@pytest.mark.full(plain=["near"])
@pytest.mark.parametrize("kind", ["near", "small"])
def test_a_thousand_prompts_are_decoded_as_greedily(kind):
    """Token for token in float64, for drafts right, half right and of another size."""
    target, width = attention(8), 8 if kind == "near" else 4
    near = jax.tree.map(lambda x: x + 0.1 * RNG.normal(size=x.shape), target)
    other = near if kind == "near" else attention(4)
    prompt = RNG.integers(0, TOKENS, (ROWS, LONGEST)).astype(np.int32)
    length = LONGEST + NEW + DRAFTS
    cache = empty(8, ROWS, length)

    @jax.jit
    def plain(lengths, end):
        options = {"lengths": lengths, "end": end, "max_tokens": NEW, "pad": 9}
        return greedy(model_step, target, prompt, cache=cache, **options)

    @jax.jit
    def drafted(params, lengths, end):
        draft = Draft(chunk_step, params, empty(width, ROWS, length))
        options = {"lengths": lengths, "end": end, "max_tokens": NEW, "pad": 9}
        options |= {"drafts": DRAFTS, "draft": draft, "cache": cache}
        return speculative(chunk_step, target, prompt, **options)

    for end in (-1, 2):
        lengths = RNG.integers(1, LONGEST + 1, ROWS)
        wanted = plain(lengths, end)
        found = drafted(other, lengths, end)
        np.testing.assert_array_equal(found.tokens, wanted.tokens)
        assert int(found.calls) <= int(wanted.calls)
    if kind == "near":
        same = drafted(target, np.full(ROWS, LONGEST), -1)
        # d + 1 tokens a round: the one after d right drafts is kept too.
        assert int(same.steps) == -(-NEW // (DRAFTS + 1))
    assert drafted._cache_size() == 1


@pytest.mark.full(plain=[4])
@pytest.mark.parametrize("seats", [1, 4, 20])
def test_a_pool_of_rows_is_decoded_as_greedily(seats):
    """Groups of rows of one length, others where there are none; rows end apart."""
    target, rows = attention(8), 20
    other = jax.tree.map(lambda x: x + 0.1 * RNG.normal(size=x.shape), target)
    prompt = RNG.integers(0, TOKENS, (rows, LONGEST)).astype(np.int32)
    lengths = RNG.integers(1, LONGEST + 1, rows)
    cache = empty(8, rows, LONGEST + NEW + DRAFTS)

    def both(end):
        given = {"cache": cache, "lengths": lengths, "end": end, "max_tokens": NEW}
        draft = Draft(chunk_step, other, cache)
        options = {"drafts": DRAFTS, "draft": draft, "seats": seats, **given}
        return (
            greedy(model_step, target, prompt, **given),
            speculative(chunk_step, target, prompt, **options),
        )

    run = jax.jit(both, compiler_options=QUICK)
    for end in (-1, 2):
        wanted, found = run(end)
        np.testing.assert_array_equal(found.tokens, wanted.tokens)
        counts = {name: int(value) for name, value in found.counts.items()}
        assert 0 <= counts["aligned"] <= int(found.steps) == int(found.calls) - 1
        assert counts["accepted"] <= counts["drafted"]
        # Seats of unfinished rows are not left empty while rows wait.
        drafted, full = counts["drafted"], int(found.steps) * seats * DRAFTS
        assert drafted <= full and (seats == 20 or drafted > 0.7 * full)
    assert seats != 1 or counts["aligned"] == int(found.steps)


def test_rows_of_one_length_sit_together():
    rows = jax.jit(seated_rows, static_argnums=2)
    of = lambda count, done, seats: [
        np.asarray(x).tolist()
        for x in rows(np.array(count, np.int32), np.array(done, bool), seats)
    ]
    assert of([5, 4, 5, 4, 3], [0, 0, 0, 0, 0], 2) == [[1, 3], True]
    assert of([5, 4, 5, 4, 3], [0, 1, 0, 0, 0], 2) == [[0, 2], True]
    # None has enough: the shortest first, rows that have ended last.
    assert of([5, 4, 6, 3, 2], [0, 0, 0, 0, 1], 3) == [[3, 1, 0], False]
    assert of([5, 4, 6], [1, 1, 0], 2) == [[2, 0], False]


TABLE = np.array([[0.6, 0.3, 0.1], [0.2, 0.2, 0.6], [0.05, 0.9, 0.05]])
OTHER = np.array([[0.1, 0.3, 0.6], [0.5, 0.4, 0.1], [0.05, 0.9, 0.05]])
DRAWS, TEMPERATURE = 100_000, 0.8


def markov_step(params, cache, tokens, positions):
    return params[tokens], cache


@jax.jit
def sample(table, other, key):
    return speculative(
        markov_step,
        TEMPERATURE * jnp.log(table),
        jnp.zeros((DRAWS, 1), int),
        draft=Draft(markov_step, TEMPERATURE * jnp.log(other), ()),
        cache=(),
        key=key,
        max_tokens=3,
        drafts=2,
        temperature=TEMPERATURE,
    )


def _distance(tokens, table):
    """Pearson's chi-square of three tokens after a 0, of 26 degrees of freedom."""
    cells = list(itertools.product(range(3), repeat=3))
    p = np.array([table[0, a] * table[a, b] * table[b, c] for a, b, c in cells])
    count = np.bincount(tokens[:, 1:] @ [9, 3, 1], minlength=27)
    return float(np.sum((count - DRAWS * p) ** 2 / (DRAWS * p)))


def test_samples_have_the_distribution_of_the_target():
    tokens = np.asarray(sample(TABLE, OTHER, jax.random.key(0, impl="rbg")).tokens)
    # The 99.9 % point is 54.1; the draft's distribution is far away.
    assert _distance(tokens, TABLE) < 54.1
    assert _distance(tokens, OTHER) > 1e4


@pytest.mark.full
def test_samples_with_right_and_broken_drafts_and_zero_chances():
    same = sample(TABLE, TABLE, jax.random.key(1, impl="rbg"))
    assert _distance(np.asarray(same.tokens), TABLE) < 54.1
    # Three tokens in one round: equal distributions refuse nothing.
    assert int(same.steps) == 1
    broken = sample(TABLE, np.full((3, 3), np.nan), jax.random.key(2, impl="rbg"))
    assert _distance(np.asarray(broken.tokens), TABLE) < 54.1
    # Zero chances of the draft and of the target.
    zero = np.array([[0.5, 0.5, 0], [0, 0.5, 0.5], [0.5, 0, 0.5]])
    tokens = np.asarray(sample(zero, OTHER, jax.random.key(3, impl="rbg")).tokens)
    moves = np.stack([tokens[:, :-1].ravel(), tokens[:, 1:].ravel()])
    assert np.all(zero[moves[0], moves[1]] > 0)
    assert sample._cache_size() == 1


def test_nan_of_the_target_ends_its_row_alone():
    table = np.log(TABLE)
    table[2] = np.nan
    prompt = jnp.array([[0], [2], [1]])

    found = speculative(
        markov_step,
        jnp.asarray(table),
        prompt,
        draft=Draft(markov_step, jnp.log(OTHER), ()),
        cache=(),
        max_tokens=3,
        drafts=2,
        pad=7,
    )
    assert found.tokens.tolist() == [[0, 0, 0, 0], [2, -1, 7, 7], [1, 2, -1, 7]]


@pytest.mark.parametrize(
    "options, words",
    [
        ({"drafts": 0}, "drafts must be a whole number of at least 1"),
        ({"temperature": -1.0}, "temperature must be a number of at least 0; got -1.0"),
        ({"seats": 2}, "seats must be at most the 1 rows; got 2"),
        ({"temperature": 1.0}, "key must be given with temperature 1.0; got None"),
        (
            {"draft": Draft(markov_step, jnp.zeros((4, 4)), ())},
            "draft must have the target's vocabulary of 3 tokens; got 4",
        ),
        (
            {"draft": Draft(lambda p, c, t, n: (jnp.zeros((1, 3)), c), (), ())},
            r"the draft must give logits of shape \(1, 1, 'V'\); got \(1, 3\)",
        ),
    ],
)
def test_bad_input(options, words):
    table = jnp.log(TABLE)
    given = {"draft": Draft(markov_step, table, ()), **options}
    with pytest.raises(InputError, match=words):
        speculative(markov_step, table, jnp.zeros((1, 1), int), cache=(), **given)
