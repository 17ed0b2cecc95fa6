"""SkipDecode: schedules, nested layers, decoding against masked rows, gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from battery.programs import QUICK

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.inference import (
    LayeredStep,
    active_layers,
    exit_schedule,
    greedy,
    masked_forward,
    skip_decode,
    speedup,
)

RNG = np.random.default_rng(2)
TOKENS, LAYERS, TOTAL = 5, 6, 9
PARAMS = {
    "embed": jnp.asarray(RNG.normal(size=(TOKENS, 4))),
    "layers": jnp.asarray(RNG.normal(size=(LAYERS, 4, 4)) / 2),
    "head": jnp.asarray(RNG.normal(size=(4, TOKENS))),
}


def mixed(params, layer, x):
    """A causal layer on whole rows: a fading mean over the positions, and a matrix."""
    t = jnp.arange(x.shape[1])
    apart = t[:, None] - t[None]
    weights = jnp.where(apart >= 0, 0.6 ** jnp.maximum(apart, 0), 0)
    faded = jnp.einsum("ts,bsd->btd", weights, x)
    return x + jnp.tanh(faded @ params["layers"][layer])


def block(params, layer, x, cache, position):
    cache = jax.lax.dynamic_update_index_in_dim(cache, x, position, 1)
    seen = jnp.arange(cache.shape[1]) <= position
    rows = jnp.where(seen[None, :, None], cache, 0)
    y = mixed(params, layer, rows)
    return jax.lax.dynamic_index_in_dim(y, position, 1, keepdims=False), cache


STEP = LayeredStep(
    lambda params, tokens, position: params["embed"][tokens],
    block,
    lambda params, x: x @ params["head"],
    LAYERS,
)


def whole_step(params, cache, tokens, position):
    """The model with all its layers."""
    x, caches = STEP.embed(params, tokens, position), []
    for layer, held in enumerate(cache):
        x, held = block(params, layer, x, held, position)
        caches.append(held)
    return STEP.head(params, x), tuple(caches)


def test_schedules_round_halves_up_and_their_layers_are_nested():
    for length, most, least, warmup in ((24, 18, 6, 1), (9, 6, 3, 2), (1, 4, 2, 0)):
        layers = 24 if most == 18 else 6
        found = exit_schedule(
            length, layers=layers, max_layers=most, min_layers=least, warmup=warmup
        )
        t = np.arange(length) / max(length - 1, 1)
        np.testing.assert_array_equal(found, np.floor(most - (most - least) * t + 0.5))
        active = active_layers(found, layers=layers, warmup=warmup)
        np.testing.assert_array_equal(active.sum(1), found)
        assert np.all(active[:-1] >= active[1:]) and np.all(active[:, :warmup])
        assert np.isclose(speedup(found, layers=layers), 1 / active.mean())
    # 24 layers, from 18 to 6: half of the work.
    found = exit_schedule(512, layers=24, max_layers=18, min_layers=6)
    assert abs(speedup(found, layers=24) - 2) < 0.01


def test_decoding_is_that_of_masked_rows_and_of_all_layers():
    prompt, lengths = np.array([[1, 2, 3], [4, 0, 0]]), np.array([3, 1])
    empty = (jnp.zeros((2, TOTAL, 4)),) * LAYERS
    given = {"cache": empty, "lengths": lengths, "max_tokens": 6}

    def decode(params, most, least, **more):
        options = {"max_layers": most, "min_layers": least, "warmup": 1, **more}
        return skip_decode(STEP, params, prompt, **given, **options)

    def all_of_them(params):
        return (
            greedy(whole_step, params, prompt, **given),
            decode(params, 0, 0),
            decode(params, 5, 2, prompt_decay=True),
        )

    run = jax.jit(all_of_them, compiler_options=QUICK)
    plain, same, fewer = run(PARAMS)
    np.testing.assert_array_equal(same.tokens, plain.tokens)
    assert int(same.counts["layers"]) == LAYERS * int(same.calls)
    schedule = exit_schedule(TOTAL, layers=LAYERS, max_layers=5, min_layers=2)
    assert int(fewer.counts["layers"]) == schedule[: TOTAL - 1].sum()
    active = active_layers(schedule, layers=LAYERS)

    def loss(params, tokens):
        x = masked_forward(mixed, params, params["embed"][tokens], active)
        logits = x @ params["head"]
        return jnp.sum(jnp.sin(logits)), logits

    train = jax.jit(jax.grad(loss, has_aux=True), compiler_options=QUICK)
    grads, logits = train(PARAMS, fewer.tokens)
    best = np.asarray(logits).argmax(-1)
    for row, n, wanted in zip(np.asarray(fewer.tokens), lengths, best, strict=True):
        np.testing.assert_array_equal(row[n:], wanted[n - 1 : -1])
    # A layer that no position has is not trained.
    sizes = np.abs(np.asarray(grads["layers"])).sum((1, 2))
    assert np.all((sizes > 0) == active.any(0)) and not active.any(0).all()


@pytest.mark.parametrize(
    "options, words",
    [
        ({"max_layers": 7}, "min_layers=7 and max_layers=7"),
        ({"max_layers": 3, "min_layers": 1}, "2 <= min_layers <= max_layers <= 6 must"),
        ({"min_layers": 2, "warmup": 2}, "3 <= min_layers"),
        ({"warmup": -1}, "warmup must be a whole number of at least 0"),
    ],
)
def test_bad_input(options, words):
    with pytest.raises(InputError, match=words):
        skip_decode(STEP, PARAMS, jnp.zeros((1, 1), int), cache=(), **options)
