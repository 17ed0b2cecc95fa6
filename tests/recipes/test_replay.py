"""Experience replay: its memory, its loss in NumPy, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.recipes import (
    empty_memory,
    fixed_memory,
    init_replay,
    make_replay_step,
)
from jaxopt_lab.recipes.replay_memory import recall, remember


def apply(params, state, x, *, train, key=None):
    return x @ params, state


NETWORK = Functional(lambda key: (jnp.zeros((3, 2)), {}), apply)


def batch(seed, count=4):
    rng = np.random.default_rng(seed)
    return {"image": rng.normal(size=(count, 3)), "label": rng.integers(0, 2, count)}


def cross_entropy(params, given):
    logits = given["image"] @ params
    return (
        np.log(np.exp(logits).sum(1)) - logits[np.arange(len(logits)), given["label"]]
    )


def test_each_example_is_kept_equally_often():
    """A reservoir of 3 among 9: chi-squared over 4000 keys, and the last of a place."""
    stream = {"number": jnp.arange(1, 10)}
    first = empty_memory(stream, 3)

    @jax.jit
    @jax.vmap
    def keep(key):
        keys = jax.random.split(key)
        parts = {"number": stream["number"][:4]}, {"number": stream["number"][4:]}
        memory = remember(keys[0], first, parts[0])
        return remember(keys[1], memory, parts[1]).examples["number"]

    kept = np.asarray(keep(jax.random.split(jax.random.key(0), 4000)))
    counts = np.array([np.sum(kept == n) for n in range(1, 10)])
    wanted = 4000 / 3
    assert np.sum((counts - wanted) ** 2) / wanted < 26  # of 8 degrees, 0.1 %
    assert np.all(kept > 0)
    assert all(len(set(row)) == 3 for row in kept.tolist())


def test_an_empty_memory_gives_plain_training_and_a_full_one_the_union():
    tx, weights = optax.sgd(0.5), np.random.default_rng(9).normal(size=(3, 2))
    old = batch(1, 1)  # one example, so that the draw is known
    step = jax.jit(make_replay_step(NETWORK, tx, weight=0.25, replayed=3))
    for memory, recalled in (
        (empty_memory(old, 1), 0),
        (fixed_memory(old), 3),
    ):
        state = init_replay(tx, jnp.asarray(weights), jax.random.key(0), memory)
        after, metrics = step(state, batch(2))
        own, other = cross_entropy(weights, batch(2)), cross_entropy(weights, old)
        total = own.sum() + 0.25 * recalled * other[0]
        wanted = total / (len(own) + 0.25 * recalled)
        np.testing.assert_allclose(metrics["loss"], wanted, rtol=1e-12)
        assert int(after.model_state["memory"].seen) == (1 if recalled else 0) + 4


def test_an_empty_memory_holds_nothing_that_counts():
    memory = empty_memory(batch(0), 5)
    examples, there = recall(jax.random.key(0), memory, 2)
    assert not there and not np.any(examples["image"])


def test_exemplars_stay_where_nothing_is_stored():
    tx, memory = optax.sgd(0.1), fixed_memory(batch(3, 6))
    state = init_replay(tx, jnp.ones((3, 2)), jax.random.key(0), memory)
    step = jax.jit(make_replay_step(NETWORK, tx, store=False))
    after, _ = step(state, batch(4))
    kept = after.model_state["memory"]
    jax.tree.map(np.testing.assert_array_equal, kept, memory)


def test_bad_input_is_one_line():
    tx = optax.sgd(0.1)
    state = init_replay(tx, jnp.ones((3, 2)), jax.random.key(0), fixed_memory(batch(0)))
    bare = state._replace(model_state={"model": {}})
    step = make_replay_step(NETWORK, tx)
    for call, words in (
        (lambda: empty_memory(batch(0), 0), "capacity must"),
        (lambda: fixed_memory(batch(0, 0)), "at least one example"),
        (lambda: make_replay_step(NETWORK, tx, axis_name="d"), "axis_name must"),
        (lambda: make_replay_step(NETWORK, tx, weight=-1.0), "weight must"),
        (lambda: step(bare, batch(0)), "no memory"),
        (lambda: step(state, batch(0, 0)), "'image' must hold at least one example"),
        (lambda: step(state, {"image": jnp.ones((1, 3))}), "no 'label'"),
        (
            lambda: step(state, {**batch(0), "image": jnp.ones((4, 3, 1))}),
            "shapes",
        ),
    ):
        with pytest.raises(InputError, match=words) as raised:
            call()
        assert "\n" not in str(raised.value)


def test_a_batch_without_examples_leaves_the_memory_as_it_is():
    memory = empty_memory({"label": jnp.arange(3)}, 4)
    none = {"label": jnp.zeros((0,), memory.examples["label"].dtype)}
    assert remember(jax.random.key(0), memory, none) is memory
