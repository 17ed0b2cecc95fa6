"""Recurrent hypernetworks: chunks, growth, one task, and the penalty of several."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.layers import (
    grow_hypernetwork,
    new_entries,
    recurrent_hypernetwork,
)
from jaxopt_lab.recipes import (
    OldTasks,
    fisher_importance,
    init_continual_hypernetwork,
    make_continual_hypernetwork_step,
    output_regulariser,
)
from jaxopt_lab.training import init_state, make_train_step

RNG = np.random.default_rng(0)
TARGET = {"w": np.zeros((3, 2)), "b": np.zeros(2)}
HYPER = recurrent_hypernetwork(4, target=TARGET, hidden=5, chunk=3, chunk_features=2)


def linear(params, state, x, *, train, key=None):
    return x @ params["w"] + params["b"][None], state


NETWORK = Functional(lambda key: (TARGET, {}), linear)
BATCH = {"image": RNG.normal(size=(6, 3)), "label": RNG.integers(0, 2, 6)}
EMBEDDINGS = RNG.normal(size=(3, 4))
TX = optax.sgd(0.1)


def flat(tree):
    return np.concatenate([np.asarray(tree[n]).reshape(3, -1) for n in ("b", "w")], 1)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_chunks_are_those_of_an_lstm_and_depend_on_those_before():
    @jax.jit
    def run(key):
        params, _ = HYPER.init(key)
        moved = dict(params, chunks=params["chunks"].at[1].add(1.0))
        apart = recurrent_hypernetwork(
            4, target=TARGET, hidden=5, chunk=3, chunk_features=2, independent=True
        )
        found = [
            net.apply(p, {}, EMBEDDINGS, train=True)[0]
            for net in (HYPER, apart)
            for p in (params, moved)
        ]
        return params, found

    params, (plain, moved, alone, alone_moved) = run(jax.random.key(0))
    p = {n: np.asarray(x) for n, x in params.items()}
    h, c, wanted = np.zeros((3, 5)), np.zeros((3, 5)), []
    for u in p["chunks"]:
        x = np.concatenate([EMBEDDINGS, np.tile(u, (3, 1)), h], axis=1)
        i, f, g, o = np.split(x @ p["kernel"] + p["bias"], 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        wanted.append(h @ p["head"] + p["head_bias"])
    wanted = np.concatenate(wanted, axis=1)[:, :8]
    np.testing.assert_allclose(flat(plain), wanted, rtol=1e-10, atol=1e-12)
    # The second chunk of three moves itself and, with recurrence, those behind it.
    np.testing.assert_array_equal(flat(moved)[:, :3], flat(plain)[:, :3])
    assert np.all(flat(moved)[:, 3:] != flat(plain)[:, 3:])
    same = flat(alone_moved) == flat(alone)
    assert np.all(same[:, :3]) and not np.any(same[:, 3:6]) and np.all(same[:, 6:])
    # One chunk is one step: recurrence is of no account.
    np.testing.assert_array_equal(flat(alone)[:, :3], flat(plain)[:, :3])


@pytest.mark.full
def test_growth_leaves_every_prediction_and_masked_updates_old_units():
    @jax.jit
    def run(key):
        params, _ = HYPER.init(key)
        grown = grow_hypernetwork(jax.random.key(1), params, 2)
        predict = lambda p: HYPER.apply(p, {}, EMBEDDINGS, train=True)[0]
        total = lambda p: sum(jnp.sum(x**2) for x in jax.tree.leaves(predict(p)))
        slope = jax.grad(total)(grown)
        mask = new_entries(grown, 5)
        after = jax.tree.map(lambda p, g, m: p - 0.1 * g * m, grown, slope, mask)
        return params, grown, predict(params), predict(grown), slope, after

    params, grown, before, after, slope, moved = run(jax.random.key(0))
    np.testing.assert_array_equal(flat(after), flat(before))
    assert np.any(np.asarray(slope["head"])[5:])
    old = np.asarray(grown["kernel"]).reshape(13, 4, 7)
    np.testing.assert_array_equal(old[:11, :, :5].reshape(11, 20), params["kernel"])
    assert not np.any(old[11:, :, :5])
    kernel = np.asarray(moved["kernel"]).reshape(13, 4, 7)
    np.testing.assert_array_equal(kernel[:, :, :5], old[:, :, :5])
    np.testing.assert_array_equal(moved["head"][:5], params["head"])


def fresh(old):
    params = jax.jit(HYPER.init)(jax.random.key(0))[0]
    state = init_continual_hypernetwork(
        TX, params, jnp.asarray(EMBEDDINGS[0]), old, jax.random.key(1)
    )
    return state


def task(own, batch):
    """The loss of a task, without the recipe."""
    e = own["embedding"][None]
    weights, _ = HYPER.apply(own["hypernetwork"], {}, e, train=True)
    own = jax.tree.map(lambda w: w[0], weights)
    logits, _ = linear(own, {}, batch["image"], train=True)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"])
    return jnp.mean(losses)


def test_one_task_is_plain_training_to_the_bit():
    state = fresh(OldTasks({}, jnp.zeros((0, 4))))

    def plain(own, model_state, batch, key):
        return task(own, batch), (model_state, {})

    @jax.jit
    def run(state, batch):
        first = make_continual_hypernetwork_step(HYPER, NETWORK, TX)(state, batch)
        own = init_state(TX, state.params["model"], state.key)
        return first, make_train_step(plain, TX)(own, batch)

    (found, metrics), (wanted, other) = run(state, BATCH)
    jax.tree.map(np.testing.assert_array_equal, found.params["model"], wanted.params)
    np.testing.assert_allclose(metrics["loss"], other["loss"], rtol=1e-15)


@pytest.mark.full
def test_penalty_is_that_of_the_step_that_is_tried():
    old_params = jax.jit(HYPER.init)(jax.random.key(5))[0]
    importance = jax.tree.map(lambda x: np.abs(RNG.normal(size=(2, *x.shape))), TARGET)
    old = OldTasks(old_params, jnp.asarray(EMBEDDINGS[1:]), importance)
    state = fresh(old)

    @jax.jit
    def run(state, batch):
        step = make_continual_hypernetwork_step(
            HYPER, NETWORK, TX, beta=0.3, lookahead=0.5
        )
        _, metrics = step(state, batch)
        own = state.params["model"]
        slope = jax.grad(task)(own, batch)["hypernetwork"]
        ahead = jax.tree.map(lambda p, g: p - 0.5 * g, own["hypernetwork"], slope)
        predict = lambda p: HYPER.apply(p, {}, old.embeddings, train=True)[0]
        same = jax.value_and_grad(
            lambda p: output_regulariser(HYPER, p, old_params, old.embeddings)
        )(old_params)
        return metrics, task(own, batch), predict(ahead), predict(old_params), same

    metrics, loss, new, before, (zero, slope) = run(state, BATCH)
    gaps = jax.tree.map(
        lambda a, b, i: np.sum(i * (a - b) ** 2), new, before, importance
    )
    wanted = sum(gaps.values()) / 2
    np.testing.assert_allclose(metrics["kept"], wanted, rtol=1e-10)
    np.testing.assert_allclose(metrics["loss"], loss + 0.3 * wanted, rtol=1e-10)
    assert zero == 0 and not any(np.any(x) for x in jax.tree.leaves(slope))


def test_importance_is_the_mean_square_of_the_gradients():
    weights = {"w": RNG.normal(size=(3, 2)), "b": RNG.normal(size=2)}
    run = jax.jit(lambda w: fisher_importance(NETWORK, w, {}, BATCH))
    found = run(weights)
    logits = BATCH["image"] @ weights["w"] + weights["b"]
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    gap = p - np.eye(2)[BATCH["label"]]
    squares = {
        "w": np.mean((BATCH["image"][:, :, None] * gap[:, None]) ** 2, axis=0),
        "b": np.mean(gap**2, axis=0),
    }
    mean = np.mean(np.concatenate([s.ravel() for s in squares.values()]))
    for name, square in squares.items():
        np.testing.assert_allclose(found[name], square / mean, rtol=1e-10)


def test_bad_input_is_one_line():
    make = make_continual_hypernetwork_step
    params = {"head": jnp.ones((2, 1))}
    for call, words in (
        (lambda: make(HYPER, NETWORK, TX, beta=-1.0), "beta must"),
        (lambda: make(HYPER, NETWORK, TX, micro_batches=2), "micro_batches must"),
        (lambda: recurrent_hypernetwork(2, target={}), "target must"),
        (lambda: recurrent_hypernetwork(2, hidden=0), "hidden must"),
        (lambda: grow_hypernetwork(jax.random.key(0), params, 0), "units must"),
    ):
        with pytest.raises(InputError, match=words) as raised:
            call()
        assert "\n" not in str(raised.value)
