"""The transformer from a cache of keys and values: as on whole rows."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from battery.programs import QUICK

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import models
from jaxopt_lab.lab.models.cached import Chunk, empty_cache
from jaxopt_lab.lab.models.configs import TransformerConfig
from jaxopt_lab.layers import softmax_attention

TOKENS, CONTEXT = 5, 7
TEXT = np.random.default_rng(0).integers(0, TOKENS, (2, CONTEXT)).astype(np.int32)
PLACES = np.array([3, 2])[:, None] + np.arange(4)[None]


def compared(depth, **options):
    """Logits of the text on whole rows, and from a cache, at all the same places."""
    config = TransformerConfig(
        width=8, heads=2, depth=depth, context=CONTEXT, **options
    )
    wanted = models.Wanted((CONTEXT,), TOKENS)
    functional = models.MODELS["transformer"].functional(config, wanted)

    def both(key, text):
        params, state = functional.init(key)
        # Far from the start: biases are no zeros, attention is no mean.
        wave = lambda p: 0.3 * jnp.sin(jnp.arange(p.size, dtype=p.dtype))
        params = jax.tree.map(lambda p: p + wave(p).reshape(p.shape), params)
        apply = lambda x: functional.apply(params, state, x, train=False)[0]
        whole = apply(text)
        # The rows go on at places of their own, over what is there.
        empty, zeros = empty_cache(config, 2, CONTEXT + 1), jnp.zeros(2, jnp.int32)
        first, cache = apply(Chunk(text[:, :4], zeros, empty))
        part = jnp.take_along_axis(text, PLACES, axis=1)
        second, _ = apply(Chunk(part, jnp.asarray(PLACES[:, 0]), cache))
        late = jnp.take_along_axis(whole, PLACES[..., None], axis=1)
        join = lambda *x: jnp.concatenate(x, axis=1)
        return join(whole[:, :4], late), join(first, second)

    run = jax.jit(both, compiler_options=QUICK)
    wanted, found = run(jax.random.key(0), TEXT)
    assert float(np.std(wanted)) > 0.1
    return wanted, found


def test_cached_logits_are_those_of_whole_rows():
    wanted, found = compared(1, dtype="float64")
    assert wanted.dtype == found.dtype == np.float64
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-13)


def test_positions_beyond_the_cache_and_the_context_are_seen():
    config = TransformerConfig(width=4, heads=2, depth=1, context=4, dtype="float64")
    functional = models.MODELS["transformer"].functional(
        config, models.Wanted((4,), TOKENS)
    )

    @functools.partial(jax.jit, static_argnums=2)
    def known(key, position, length):
        params, state = functional.init(key)
        cache = empty_cache(config, 1, length)
        chunk = Chunk(jnp.zeros((1, 2), jnp.int32), position[None], cache)
        logits, cache = functional.apply(params, state, chunk, train=False)[0]
        finite = [jnp.all(jnp.isfinite(x)) for x in jax.tree.leaves(cache)]
        return jnp.all(jnp.isfinite(logits), axis=2)[0], jnp.stack(finite)

    for length in (3, 6):
        for position in (1, 2, 3):
            found, cache = known(jax.random.key(0), jnp.int32(position), length)
            places = np.array([position, position + 1])
            assert found.tolist() == (places < min(length, 4)).tolist()
            assert np.all(cache)
    with pytest.raises(InputError, match="1 positions is too short for 2 tokens"):
        known(jax.random.key(0), jnp.int32(0), 1)


@pytest.mark.full
@pytest.mark.parametrize(
    "options",
    [
        {"max_layers": 2, "min_layers": 1, "warmup_layers": 0},
        {"dtype": "float32"},
        {"norm_placement": "mix", "residual_scale": "skipinit"},
        {"norm": "layernorm_scaling", "activation": "selu"},
        {"memory": "mesa"},
        {"memory": "checkpoint", "dropout": 0.5},
    ],
)
def test_so_are_those_of_every_block(options):
    given = {"dtype": "float64", **options}
    wanted, found = compared(2, **given)
    tolerance = 1e-6 if given["dtype"] == "float32" else 1e-12
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance)


def test_softmax_attention_keeps_float64():
    q, k, v = np.random.default_rng(1).normal(size=(3, 1, 4, 2, 3))
    seen = np.tril(np.ones((4, 4), bool))
    scores = np.einsum("bthd,bshd->bhts", q, k) / 3**0.5
    weights = np.where(seen, np.exp(scores), 0)
    weights /= weights.sum(-1, keepdims=True)
    wanted = np.einsum("bhts,bshd->bthd", weights, v)
    run = jax.jit(
        lambda *x: (
            softmax_attention(*x, causal=True),
            softmax_attention(*x, seen=seen[None, None]),
        )
    )
    for found in run(q, k, v):
        np.testing.assert_allclose(found, wanted, rtol=1e-14)
    with pytest.raises(InputError, match="causal=True and seen are given"):
        softmax_attention(q, k, v, causal=True, seen=seen[None, None])
