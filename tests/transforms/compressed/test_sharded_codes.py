"""Coded states over eight devices: the same bits, and nothing gathered."""

import functools
import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from support.rounding import with_one_rounding

import jaxopt_lab

SHAPES = {"w": (64, 256), "conv": (64, 3, 3, 64), "b": (2048,), "small": (24,)}
METHODS = ["adamw8bit", "adamw4bit", "adamw_fp8"]


def arrays(seed):
    draw = np.random.default_rng(seed)
    return {k: draw.normal(size=s).astype(np.float32) for k, s in SHAPES.items()}


def mesh(devices):
    return jax.make_mesh(
        (devices,), ("x",), axis_types=(AxisType.Auto,), devices=jax.devices()[:devices]
    )


def layout(tree, over):
    """Everything that can be is split along its first axis."""
    devices = over.devices.size

    def one(x):
        splits = x.ndim and x.shape[0] % devices == 0
        return NamedSharding(over, P("x") if splits else P())

    return jax.tree.map(one, tree)


def optimizer(name, chunk):
    return getattr(jaxopt_lab, name)(1e-2, min_size=1000, chunk=chunk)


@functools.cache
def program(name, chunk, devices):
    """The compiled step, and its first parameters and state, spread out."""
    tx, over = optimizer(name, chunk), mesh(devices)
    params = jax.device_put(arrays(0), layout(arrays(0), over))
    shardings = layout(jax.eval_shape(tx.init, params), over)
    state = jax.jit(tx.init, out_shardings=shardings)(params)
    grads = jax.device_put(arrays(1), layout(arrays(1), over))

    def step(params, state, grads):
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    outs = (layout(params, over), shardings)
    lowered = jax.jit(step, out_shardings=outs).lower(params, state, grads)
    return lowered.compile(), params, state


def run(name, chunk, devices, steps=4):
    fn, params, state = program(name, chunk, devices)
    for t in range(steps):
        grads = jax.device_put(arrays(t + 1), layout(arrays(t + 1), mesh(devices)))
        params, state = fn(params, state, grads)
    return jax.device_get((params, state))


def the_same_bits():
    for name in METHODS:
        for chunk in (4096, None):
            chex.assert_trees_all_equal(run(name, chunk, 8), run(name, chunk, 1))


@pytest.mark.full
def test_the_same_bits():
    with_one_rounding(__file__, "the_same_bits()")


@pytest.mark.full
@pytest.mark.parametrize("name", METHODS)
def test_the_same_parameters_as_compiled_by_default(name):
    many, one = run(name, 4096, 8), run(name, 4096, 1)
    chex.assert_trees_all_close(many[0], one[0], rtol=1e-5, atol=1e-6)


@pytest.mark.full(plain=["adamw_fp8-chunks"])
@pytest.mark.parametrize("chunk", [4096, None], ids=["chunks", "whole"])
@pytest.mark.parametrize("name", METHODS)
def test_nothing_is_gathered(name, chunk):
    text = program(name, chunk, 8)[0].as_text()
    for line in text.splitlines():
        if re.search(r" (all-gather|all-to-all|collective-permute)(-start)?\(", line):
            sizes = [
                int(np.prod([int(n) for n in dims.split(",") if n]))
                for dims in re.findall(
                    r"\[([\d,]*)\]", line.split("=")[1].split("(")[0]
                )
            ]
            assert max(sizes) < 1000, line


@pytest.mark.parametrize("name", METHODS)
def test_the_state_is_spread_out(name):
    _, _, state = program(name, 4096, 8)
    for path, leaf in jax.tree.leaves_with_path(state):
        if leaf.size >= 64:
            here = leaf.addressable_shards[0].data.size
            assert here * 8 == leaf.size, jax.tree_util.keystr(path)


def resumed_on_fewer_devices(devices):
    fn, params, state = program("adamw8bit", 4096, 8)
    grads = [arrays(t + 1) for t in range(4)]
    for t in range(2):
        spread = jax.device_put(grads[t], layout(grads[t], mesh(8)))
        params, state = fn(params, state, spread)
    fewer, _, _ = program("adamw8bit", 4096, devices)
    over = mesh(devices)
    moved = jax.device_get((params, state))
    params, state = jax.device_put(moved, layout(moved, over))
    for t in (2, 3):
        params, state = fewer(
            params, state, jax.device_put(grads[t], layout(grads[t], over))
        )
    chex.assert_trees_all_equal(
        jax.device_get((params, state)), run("adamw8bit", 4096, 8)
    )


@pytest.mark.full
def test_resumed_on_fewer_devices():
    with_one_rounding(
        __file__, "resumed_on_fewer_devices(1), m.resumed_on_fewer_devices(4)"
    )


def test_size_counts_the_whole_tensor():
    _, params, state = program("adamw8bit", 4096, 8)
    assert params["b"].addressable_shards[0].data.size < 1000
    assert state.inner.mu["b"].dtype == jnp.uint8
