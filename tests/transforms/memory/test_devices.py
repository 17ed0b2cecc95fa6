"""Several devices give the numbers of one, and the state lies like the parameters."""

import functools
import re

import chex
import jax
import jax.numpy as jnp
import optax
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from support import links, on_devices

import jaxopt_lab


@pytest.fixture(scope="module")
def one_device():
    return links.trajectory(jaxopt_lab.adamw_cm(0.02, capacity=2), steps=3)


@pytest.mark.full
@pytest.mark.parametrize("style", on_devices.STYLES)
def test_devices_give_the_numbers_of_one(style, one_device):
    tx = jaxopt_lab.adamw_cm(0.02, capacity=2)
    got = on_devices.parameters_after(tx, style, 4)
    chex.assert_trees_all_close(got, one_device, rtol=1e-11, atol=1e-13)


def layouts():
    mesh = jax.make_mesh((8,), ("x",), axis_types=(AxisType.Auto,))
    return [NamedSharding(mesh, spec) for spec in (P("x"), P(None, "x"))]


def test_the_sharded_buffer_is_split_like_the_parameters():
    split, slots = layouts()
    params = jax.device_put({"w": jnp.ones((16, 3))}, split)
    tx = jaxopt_lab.adam_cm(1e-2, capacity=3)
    state = tx.init(params)

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(params, state, grads):
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    grads = jax.tree.map(jnp.sin, params)
    text = step.lower(params, state, grads).compile().as_text()
    assert "all-gather" not in text and "all-to-all" not in text
    # All of it is updated in place, a device's part of the slots and of the sum too.
    assert re.search(r"f64\[3,2,3\]\S* fusion\(", text)
    assert not re.search(r"f64\[(3,)?2,3\]\S* copy\(", text)
    for _ in range(5):
        params, state = step(params, state, grads)
        buffer = state[0].buffer
        assert buffer.entries["w"].sharding.is_equivalent_to(slots, 3)
        assert buffer.keys.sharding.is_fully_replicated
        for tree in (params, buffer.total, state[0].mu, state[0].nu):
            assert tree["w"].sharding.is_equivalent_to(split, 2)


@pytest.mark.parametrize("dtype", [None, jnp.bfloat16])
def test_an_initial_state_lies_like_the_parameters(dtype):
    split, _ = layouts()
    params = jax.device_put({"w": jnp.ones((16, 3))}, split)
    state = jaxopt_lab.adam_cm(1e-2, capacity=3, buffer_dtype=dtype).init(params)
    entries = state[0].buffer.entries["w"]
    assert entries.addressable_shards[0].data.shape == (3, 2, 3)
