"""Methods of one leaf, lifted to trees."""

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax
import pytest
from jax.sharding import NamedSharding, PartitionSpec

import jaxopt_lab
from jaxopt_lab.core import trees
from jaxopt_lab.core.checks import value_at
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.per_leaf import per_leaf
from jaxopt_lab.training.fused_apply import FusedApplyRecorder

PARAMS = {"k": jnp.arange(6.0).reshape(2, 3), "b": jnp.ones(3), "none": None}
GRADS = jax.tree.map(lambda x: jnp.cos(x), PARAMS)


class State(NamedTuple):
    count: jax.Array
    key: Any
    trace: Any
    longest: Any


class Leaf(NamedTuple):
    trace: jax.Array
    longest: jax.Array


class Momentum(NamedTuple):
    """A direction; the leaf's number and name are known when it is traced."""

    number: int

    def init(self, leaf):
        return Leaf(jnp.zeros_like(leaf), jnp.zeros(()))

    def update(self, g, state, p, scalars):
        assert p is None
        trace = g + scalars["decay"] * state.trace
        longest = jnp.maximum(state.longest, jnp.max(jnp.abs(g)))
        return (1 + self.number) * trace, Leaf(trace, longest)


class Descent(NamedTuple):
    """An optimizer that writes the parameter."""

    def init(self, leaf):
        return Leaf(jnp.zeros_like(leaf), jnp.zeros(()))

    def update(self, g, state, p, scalars, decays, writes):
        u = -0.1 * (g + 0.5 * decays.astype(p.dtype) * p)
        return (u, state, p + u) if writes else (u, state)


def momentum(decay):
    def scalars(state):
        return {"decay": jnp.asarray(value_at(decay, state.count))}

    constants = lambda: {"key": jax.random.key(3)}

    @per_leaf(State, Leaf, scalars, constants=constants)
    def link(params):
        return [Momentum(i) for i in range(len(jax.tree.leaves(params)))]

    return link


def descent(mask=None):
    lift = per_leaf(
        lambda **fields: State(key=None, **fields),
        Leaf,
        lambda state: None,
        optimizer="descent",
        mask=mask,
    )
    return lift(lambda params: [Descent() for _ in jax.tree.leaves(params)])


def test_every_column_of_the_state_is_a_tree_like_the_parameters():
    tx = momentum(lambda count: 0.5 * count)
    state = tx.init(PARAMS)
    assert jax.tree.structure(state.trace) == jax.tree.structure(PARAMS)
    u, state = tx.update(GRADS, state, PARAMS, value=1.0)
    chex.assert_trees_all_equal(u, {**GRADS, "k": 2 * GRADS["k"]})
    u, state = jax.jit(tx.update)(GRADS, state)
    chex.assert_trees_all_close(u["b"], 1.5 * GRADS["b"], rtol=1e-15)
    assert int(state.count) == 2
    assert jnp.array_equal(
        jax.random.key_data(state.key), jax.random.key_data(jax.random.key(3))
    )
    chex.assert_trees_all_equal(
        state.longest, jax.tree.map(lambda g: jnp.max(jnp.abs(g)), GRADS)
    )


@pytest.mark.parametrize("tree", [{}, (), None])
def test_a_tree_without_leaves(tree):
    tx = momentum(0.9)
    u, state = tx.update(tree, tx.init(tree))
    assert u == tree and state.trace == tree and int(state.count) == 1


def test_a_bare_array_and_a_masked_tree():
    tx = momentum(0.9)
    u, _ = tx.update(jnp.ones(2), tx.init(jnp.ones(2)))
    assert u.tolist() == [1.0, 1.0]
    mask = {"k": True, "b": False, "none": True}
    tx = jaxopt_lab.masked(momentum(0.9), mask)
    u, state = tx.update(GRADS, tx.init(PARAMS), PARAMS)
    chex.assert_trees_all_equal(u, GRADS)
    assert len(jax.tree.leaves(state.inner_state.trace)) == 1


def test_an_optimizer_decays_under_its_mask_and_records_what_it_writes():
    tx = descent({"k": True, "b": False, "none": True})
    decays = {"k": 0.5, "b": 0.0, "none": None}
    expected = jax.tree.map(lambda g, p, d: -0.1 * (g + d * p), GRADS, PARAMS, decays)
    u, _ = tx.update(GRADS, tx.init(PARAMS), PARAMS)
    chex.assert_trees_all_close(u, expected, rtol=1e-15)
    fused = FusedApplyRecorder()
    u, _ = tx.update(GRADS, tx.init(PARAMS), PARAMS, fused_apply=fused)
    chex.assert_trees_all_equal(fused.apply(PARAMS, u), optax.apply_updates(PARAMS, u))
    assert len(fused._records) == 2
    # A traced mask decays as a known one does.
    masked = lambda on: descent(lambda p: jax.tree.map(lambda _: on, p)).update(
        GRADS, tx.init(PARAMS), PARAMS
    )
    chex.assert_trees_all_close(
        jax.jit(masked)(True)[0]["k"], expected["k"], rtol=1e-15
    )
    with pytest.raises(InputError, match="descent needs params"):
        tx.update(GRADS, tx.init(PARAMS))


@pytest.mark.parametrize("make", [lambda: momentum(0.9), descent])
def test_on_a_mesh_of_explicit_axes(make):
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Explicit,))
    tx, w = make(), jnp.arange(16.0)
    alone = tx.update(jnp.sin(w), tx.init(w), w)
    with jax.set_mesh(mesh):
        spread = jax.device_put(w, NamedSharding(mesh, PartitionSpec("data")))
        state = tx.init(spread)
        u, state = jax.jit(tx.update)(jnp.sin(spread), state, spread)
        assert jax.typeof(u).sharding.spec == PartitionSpec("data")
    chex.assert_trees_all_close(*jax.device_get((u, alone[0])), rtol=1e-15)
    assert trees.nbytes(state.trace) == trees.nbytes(alone[1].trace)
