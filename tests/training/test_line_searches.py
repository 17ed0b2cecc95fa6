"""optax's line searches, L-BFGS and Polyak steps in the train step."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_lab
from jaxopt_lab.training import init_state, make_train_step

W = {"a": jnp.array([0.7, -1.2]), "b": jnp.array(0.4)}
X = jnp.array([[1.0, 0.5], [-0.3, 2.0], [0.2, 0.1], [1.5, -1.0]])


def loss(p, x):
    return jnp.mean((x @ p["a"] + p["b"] - 1) ** 2) + jnp.sum(p["a"] ** 4)


TXS = {
    "lbfgs": lambda: optax.lbfgs(memory_size=2),
    "backtracking": lambda: optax.chain(
        optax.sgd(1.0), optax.scale_by_backtracking_linesearch(max_backtracking_steps=8)
    ),
    "polyak": lambda: optax.polyak_sgd(max_learning_rate=0.5),
}


def by_hand(tx, steps):
    value_fn = lambda p: loss(p, X)

    def step(carry, _):
        w, state = carry
        value, grad = jax.value_and_grad(value_fn)(w)
        updates, state = tx.update(
            grad, state, w, value=value, grad=grad, value_fn=value_fn
        )
        return (optax.apply_updates(w, updates), state), value

    return jax.lax.scan(step, (W, tx.init(W)), length=steps)


def stepped(tx, steps, **options):
    step = make_train_step(lambda p, s, x, k: (loss(p, x), (s, {})), tx, **options)

    def one(state, _):
        state, metrics = step(state, X)
        return state, metrics["loss"]

    state, losses = jax.lax.scan(
        one, init_state(tx, W, jax.random.key(0)), length=steps
    )
    return (state.params, state.opt_state), losses


@pytest.mark.full(plain=["polyak"])
@pytest.mark.parametrize("name", ["lbfgs", "polyak", "backtracking"])
def test_it_is_optax_in_a_loop_of_ones_own(name):
    tx = TXS[name]()
    ours, theirs = jax.jit(lambda: (stepped(tx, 3), by_hand(tx, 3)))()
    chex.assert_trees_all_close(ours, theirs, rtol=1e-12)
    assert float(ours[1][-1]) < float(ours[1][0])


def test_a_group_of_the_parameters_is_searched_alone():
    tx = optax.chain(
        optax.sgd(1.0), optax.scale_by_backtracking_linesearch(max_backtracking_steps=6)
    )
    groups = {"searched": tx, "rest": optax.set_to_zero()}
    parted = jaxopt_lab.partition(groups, {"a": "searched", "b": "rest"})

    def alone(a):
        value_fn = lambda a: loss({"a": a, "b": W["b"]}, X)
        value, grad = jax.value_and_grad(value_fn)(a)
        updates, _ = tx.update(
            grad, tx.init(a), a, value=value, grad=grad, value_fn=value_fn
        )
        return a + updates

    (got, _), _ = jax.jit(lambda: stepped(parted, 1))()
    chex.assert_trees_all_equal(got["b"], W["b"])
    chex.assert_trees_all_close(got["a"], jax.jit(alone)(W["a"]), rtol=1e-12)


@pytest.mark.full
@pytest.mark.parametrize("name", ["lbfgs", "backtracking"])
def test_micro_batches_give_the_same_steps(name):
    tx = TXS[name]()
    run = lambda **options: jax.jit(lambda: stepped(tx, 3, **options))()
    chex.assert_trees_all_close(run(), run(micro_batches=2), rtol=1e-8)


@pytest.mark.full
@pytest.mark.parametrize("style", ["pmap", "shard_map"])
def test_devices_give_the_same_steps(style):
    tx = TXS["lbfgs"]()
    step = make_train_step(
        lambda p, s, x, k: (loss(p, x), (s, {})), tx, axis_name="data"
    )
    state = init_state(tx, W, jax.random.key(0))
    (expected, _), _ = jax.jit(lambda: stepped(tx, 2))()
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:2]), ("data",))
    P = jax.sharding.PartitionSpec
    if style == "pmap":
        run = jax.pmap(step, axis_name="data", in_axes=(None, 0), out_axes=None)
        batch = X.reshape(2, 2, 2)
    else:
        run = jax.jit(
            jax.shard_map(
                step,
                mesh=mesh,
                in_specs=(P(), P("data")),
                out_specs=(P(), P()),
                check_vma=False,
            )
        )
        batch = X
    for _ in range(2):
        state, _ = run(state, batch)
    chex.assert_trees_all_close(state.params, expected, rtol=1e-8)
