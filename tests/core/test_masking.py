"""masked and partition with links that evaluate the gradient."""

import chex
import jax
import jax.numpy as jnp
import optax
import pytest
from support.sharded import shard_sam

import jaxopt_lab
from jaxopt_lab.core import trees
from jaxopt_lab.training import init_state, make_train_step

PARAMS = {
    "body": {"w": jnp.array([1.0, -2.0]), "b": jnp.array(0.5)},
    "head": jnp.ones(2),
}
MASK = {"body": True, "head": False}
BATCH = jnp.array([0.5, 1.0, 1.5, 2.0])


def loss(p, batch):
    inner = jnp.sum(jnp.tanh(p["body"]["w"]) * p["head"]) + p["body"]["b"]
    return jnp.mean((batch * inner) ** 2) + jnp.sum(p["head"] ** 4)


@pytest.mark.full(plain=["False"])
@pytest.mark.parametrize("knows_its_batch", [True, False])
def test_a_masked_link_is_the_link_with_a_mask(knows_its_batch):
    whole = jaxopt_lab.batch_grad(loss, BATCH)
    grad_fn = whole if knows_its_batch else lambda p, i=0: whole(p)
    tx = jaxopt_lab.masked(jaxopt_lab.sam(0.2), MASK)
    ours, _ = tx.update(whole(PARAMS), tx.init(PARAMS), PARAMS, grad_fn=grad_fn)
    link = jaxopt_lab.sam(0.2, perturb_mask=MASK)
    full, _ = link.update(whole(PARAMS), link.init(PARAMS), PARAMS, grad_fn=whole)
    chex.assert_trees_all_close(ours["body"], full["body"], rtol=1e-14)
    chex.assert_trees_all_equal(ours["head"], whole(PARAMS)["head"])


def test_optax_masked_breaks_here():
    # The reason why ours exists; when optax learns it, ours can go.
    whole = jaxopt_lab.batch_grad(loss, BATCH)
    tx = optax.masked(jaxopt_lab.sam(0.2), MASK)
    with pytest.raises(Exception):  # noqa: B017 - whatever the loss makes of the holes
        tx.update(whole(PARAMS), tx.init(PARAMS), PARAMS, grad_fn=whole)


def test_a_masked_link_on_shards():
    whole = jaxopt_lab.batch_grad(loss, BATCH)
    tx = jaxopt_lab.masked(shard_sam(0.2, 2), MASK)
    ours, _ = tx.update(whole(PARAMS), tx.init(PARAMS), PARAMS, grad_fn=whole)
    parts = []
    for half in (BATCH[:2], BATCH[2:]):
        link = jaxopt_lab.sam(0.2, perturb_mask=MASK)
        grad_fn = jaxopt_lab.batch_grad(loss, half)
        g, _ = link.update(grad_fn(PARAMS), link.init(PARAMS), PARAMS, grad_fn=grad_fn)
        parts.append(g)
    mean = jax.tree.map(lambda a, b: (a + b) / 2, *parts)
    chex.assert_trees_all_close(ours["body"], mean["body"], rtol=1e-13)


def test_partition_runs_a_link_in_one_group():
    labels = trees.label_by_path([("^head", "plain")], "sharp")
    tx = jaxopt_lab.partition(
        {
            "sharp": optax.chain(jaxopt_lab.sam(0.2), optax.sgd(0.1)),
            "plain": optax.sgd(0.01),
        },
        labels,
    )

    def train_loss(p, state, batch, key):
        return loss(p, batch), (state, {})

    state = init_state(tx, PARAMS, jax.random.key(0))
    after, _ = jax.jit(make_train_step(train_loss, tx))(state, BATCH)
    whole = jaxopt_lab.batch_grad(loss, BATCH)
    link = jaxopt_lab.sam(0.2, perturb_mask=MASK)
    sharp, _ = link.update(whole(PARAMS), link.init(PARAMS), PARAMS, grad_fn=whole)
    expected = {
        "body": jax.tree.map(lambda p, g: p - 0.1 * g, PARAMS["body"], sharp["body"]),
        "head": PARAMS["head"] - 0.01 * whole(PARAMS)["head"],
    }
    chex.assert_trees_all_close(after.params, expected, rtol=1e-13)


def test_shards_of_a_masked_link_share_the_first_pass():
    calls = []

    def train_loss(p, state, batch, key):
        calls.append(1)
        return loss(p, batch), (state, {})

    tx = optax.chain(jaxopt_lab.masked(shard_sam(0.2, 2), MASK), optax.sgd(0.1))
    step = make_train_step(train_loss, tx)
    jax.make_jaxpr(step)(init_state(tx, PARAMS, jax.random.key(0)), BATCH)
    assert len(calls) == 4  # two shards, two passes each


def test_without_a_gradient_function_the_link_says_so():
    tx = jaxopt_lab.masked(jaxopt_lab.sam(0.2), MASK)
    with pytest.raises(ValueError, match="sam needs grad_fn"):
        tx.update(PARAMS, tx.init(PARAMS), PARAMS)
