"""Weights of examples, and batches without a common leading axis."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support.sharded import shard_sam

import jaxopt_lab
from jaxopt_lab.core import batch_parts
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.training import init_state, make_train_step

W = jnp.array([0.5, -1.0])
MASK = jnp.array([1, 1, 1, 0, 1, 0, 0, 0], bool)
BATCH = {"x": jnp.arange(16.0).reshape(8, 2) / 7, "mask": MASK}


def masked_mean(values, mask):
    return jnp.sum(jnp.where(mask, values, 0)) / jnp.sum(mask)


def loss(w, b):
    return masked_mean(jnp.tanh(b["x"] @ w) - jnp.sum(w**2), b["mask"])


def train_loss(w, model_state, b, key):
    value = loss(w, b)
    return value, (model_state, {"again": value})


def test_the_weight_of_an_example_is_the_sum_of_those_of_its_tokens():
    tokens = np.arange(6.0).reshape(2, 3)
    for weights in (tokens, tokens[..., None], tokens.sum(1)):
        found = batch_parts.example_weights("w", {"w": jnp.asarray(weights)})
        np.testing.assert_array_equal(found, [3.0, 12.0])


@functools.cache
def whole():
    return jax.jit(jax.value_and_grad(loss))(W, BATCH)


FULL = pytest.mark.full


@pytest.mark.parametrize(
    "weights, micro_loop, micro",
    [
        ("mask", "scan", 4),
        (lambda b: b["mask"].astype(jnp.float32), "unroll", 2),
        pytest.param("mask", "unroll", 8, marks=FULL),
        pytest.param("mask", "scan", 2, marks=FULL),
        pytest.param("mask", "vmap", 4, marks=FULL),
    ],
)
def test_a_mean_over_a_mask_is_that_of_the_whole_batch(weights, micro_loop, micro):
    # The last quarter is all padding: 0/0 there.
    grad_fn = jaxopt_lab.batch_grad(
        loss, BATCH, micro_batches=micro, micro_loop=micro_loop, weights=weights
    )
    (value, _), grads = jax.jit(lambda w: grad_fn.value_and_grad(w))(W)
    chex.assert_trees_all_close((value, grads), whole(), rtol=1e-6)


def test_without_weights_it_is_another_number():
    grad_fn = jaxopt_lab.batch_grad(loss, BATCH, micro_batches=4)
    assert bool(jnp.isnan(jax.jit(lambda w: grad_fn.value_and_grad(w)[0][0])(W)))


@pytest.mark.parametrize("mode", ["unroll", pytest.param("scan", marks=FULL)])
def test_shards_count_by_their_weights(mode):
    tx = optax.chain(shard_sam(0.0, 4, mode), optax.sgd(1.0))
    step = make_train_step(train_loss, tx, weights="mask", micro_batches=2)
    state, metrics = jax.jit(step)(init_state(tx, W, jax.random.key(0)), BATCH)
    value, grads = whole()
    chex.assert_trees_all_close(state.params, W - grads, rtol=1e-12)
    chex.assert_trees_all_close(metrics, {"loss": value, "again": value}, rtol=1e-12)


@pytest.mark.full
@pytest.mark.parametrize(
    "style", ["shard_map", *(pytest.param(s, marks=FULL) for s in ("pmap", "vmap"))]
)
def test_devices_count_by_their_weights(style):
    tx = optax.chain(jaxopt_lab.sam(0.3), optax.sgd(1.0))
    state = init_state(tx, W, jax.random.key(0))
    expected, _ = jax.jit(make_train_step(train_loss, tx))(state, BATCH)
    step = make_train_step(train_loss, tx, axis_name="data", weights="mask")
    cut = jax.tree.map(lambda x: x.reshape(4, 2, *x.shape[1:]), BATCH)
    if style == "shard_map":
        mesh = jax.sharding.Mesh(np.array(jax.devices()[:4]), ("data",))
        P = jax.sharding.PartitionSpec
        run = jax.shard_map(
            step, mesh=mesh, in_specs=(P(), P("data")), out_specs=(P(), P())
        )
        got, metrics = jax.jit(run)(state, BATCH)
    else:
        mapped = jax.pmap if style == "pmap" else jax.vmap
        run = mapped(step, axis_name="data", in_axes=(None, 0), out_axes=None)
        got, metrics = run(state, cut)
    chex.assert_trees_all_close(got.params, expected.params, rtol=1e-12)
    chex.assert_trees_all_close(metrics["loss"], whole()[0], rtol=1e-12)


def test_weights_can_be_differentiated():
    def loss_with(w, b):
        return jnp.sum(b["v"] * (b["x"] @ w) ** 2) / jnp.sum(b["v"])

    def grads(v, micro):
        batch = {"x": BATCH["x"], "v": v}
        grad_fn = jaxopt_lab.batch_grad(
            loss_with, batch, micro_batches=micro, weights="v"
        )
        return grad_fn(W)[0]

    v = jnp.array([1.0, 0.0, 2.0, 1.0, 0.5, 1.0, 0.25, 3.0])
    one, two = jax.jit(lambda v: [jax.grad(grads)(v, n) for n in (1, 2)])(v)
    chex.assert_trees_all_close(one, two, rtol=1e-10)


@pytest.mark.parametrize(
    "weights, batch, words",
    [
        ("weight", BATCH, r"weights='weight' must be a key.*batch of \['x', 'mask'\]"),
        ("mask", jnp.ones(3), "function of it; got a batch of "),
        (lambda b: 3.0, BATCH, "array of real numbers; got float"),
        (lambda b: b["x"] * 1j, BATCH, "array of real numbers; got complex128"),
    ],
)
def test_weights_that_are_none_are_refused(weights, batch, words):
    with pytest.raises(InputError, match=words):
        batch_parts.total_weight(weights, batch)


GRAPH = {
    "nodes": jnp.ones((5, 2)),
    "edges": jnp.array([[0, 1], [1, 2], [2, 4]]),
    "temperature": jnp.array(2.0),
}


def graph_loss(w, g):
    sent = (g["nodes"] @ w)[g["edges"][:, 0]]
    return jnp.sum(sent**2) / g["temperature"]


def test_negative_weights_and_none_above_zero_are_refused_or_seen():
    with pytest.raises(InputError, match="of examples must be at least 0; got -1$"):
        batch_parts.total_weight("w", {"w": np.array([-1.0, 2.0])})
    loss = lambda p, batch: jnp.sum(batch["w"] * p) / jnp.sum(batch["w"])
    zeros = {"w": np.zeros(2)}
    with pytest.raises(InputError, match="weights of all examples of the batch are 0"):
        jaxopt_lab.batch_grad(loss, zeros, weights="w").weight()
    traced = jax.jit(lambda w: batch_parts.total_weight("w", {"w": w}))
    assert np.isnan(traced(np.array([-1.0, 2.0]))) and traced(np.zeros(2)) == 0
    assert np.isnan(traced(np.array([-1, 2])))


@pytest.mark.parametrize("link", [jaxopt_lab.sam(0.1)])
def test_a_graph_and_a_scalar_beside_it_train(link):
    tx = optax.chain(link, optax.sgd(0.1))
    step = make_train_step(lambda w, s, b, k: (graph_loss(w, b), (s, {})), tx)
    state, metrics = jax.jit(step)(init_state(tx, W, jax.random.key(0)), GRAPH)
    assert float(graph_loss(state.params, GRAPH)) < float(metrics["loss"])


@pytest.mark.parametrize(
    "use, words",
    [
        (lambda: jaxopt_lab.batch_grad(graph_loss, GRAPH, micro_batches=1), None),
        (
            lambda: jaxopt_lab.batch_grad(graph_loss, GRAPH, micro_batches=2),
            "for micro-batches the leaves of a batch must share their leading axis",
        ),
        (
            lambda: jaxopt_lab.batch_grad(graph_loss, GRAPH).shard(2),
            "for shards the leaves",
        ),
        (
            lambda: jaxopt_lab.batch_grad(
                graph_loss, GRAPH, example_losses=graph_loss
            ).example_losses(W),
            "for losses of examples the leaves",
        ),
    ],
)
def test_the_axis_is_asked_for_where_it_is_needed(use, words):
    if words is None:
        use()
        return
    with pytest.raises(InputError, match=words):
        use()
