"""MicroAdam and LDAdam over eight virtual devices: the trajectory of one."""

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

from jaxopt_lab.core import trees
from jaxopt_lab.transforms.compressed.ldadam import ldadam
from jaxopt_lab.transforms.compressed.microadam import microadam

SHAPES = {"w": (64, 512), "cube": (16, 4, 256), "v": (8192,)}
SMALL = {"block_size": 512, "density": 0.02, "window": 3, "weight_decay": 0.1}


def tree(seed, dtype):
    draw = np.random.default_rng(seed)
    return {k: jnp.asarray(draw.normal(size=s), dtype) for k, s in SHAPES.items()}


def layout(mesh, values):
    """Everything with as many rows as there are devices is cut along the first axis."""

    def lies(x):
        cut = x.ndim and x.shape[0] % 8 == 0
        return NamedSharding(mesh, P("x") if cut else P())

    return jax.tree.map(lies, values)


def stepped(tx):
    def step(params, state, grads):
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    return step


def trajectory(tx, dtype, mesh=None, steps=5):
    """Parameters and state after some steps, and the compiled step."""
    params = tree(0, dtype)
    options, place = {}, lambda x: x
    if mesh is not None:
        state_layout = layout(mesh, jax.eval_shape(tx.init, params))
        own = layout(mesh, params)
        options = {
            "in_shardings": (own, state_layout, own),
            "out_shardings": (own, state_layout),
        }
        place = functools.partial(jax.device_put, device=own)
        params = place(params)
        state = jax.jit(tx.init, out_shardings=state_layout)(params)
    else:
        state = jax.jit(tx.init)(params)
    compiled = (
        jax.jit(stepped(tx), donate_argnums=(0, 1), **options)
        .lower(params, state, params)
        .compile()
    )
    for t in range(steps):
        params, state = compiled(params, state, place(tree(t + 1, dtype)))
    return params, state, compiled.as_text()


def eight():
    return jax.make_mesh((8,), ("x",), axis_types=(AxisType.Auto,))


def sent(text):
    """The lines of a compiled program in which devices send to each other."""
    kinds = "all-gather|all-reduce|all-to-all|collective-permute|reduce-scatter"
    return re.findall(rf".* (?:{kinds})(?:-start)?\(.*", text)


def microadam_is_bit_equal():
    for chunk in (None, 4096):
        tx = microadam(1e-2, chunk=chunk, **SMALL)
        one, many = (trajectory(tx, jnp.float32, on)[:2] for on in (None, eight()))
        chex.assert_trees_all_equal(jax.device_get(one), jax.device_get(many))


@pytest.mark.full
def test_microadam_is_bit_equal():
    with_one_rounding(__file__, "microadam_is_bit_equal()")


@pytest.mark.full
@pytest.mark.parametrize("chunk", [None, 4096])
def test_microadam_sends_nothing(chunk):
    tx = microadam(1e-2, chunk=chunk, **SMALL)
    one, _, _ = trajectory(tx, jnp.float32)
    many, many_state, text = trajectory(tx, jnp.float32, eight())
    chex.assert_trees_all_close(many, one, rtol=1e-5, atol=1e-6)
    # Blocks of picks are whole on their devices.
    assert sent(text) == []
    for name in ("indices", "values", "error", "low"):
        for x in getattr(many_state, name).values():
            assert x.addressable_shards[0].data.size == x.size // 8, name


@pytest.mark.full
@pytest.mark.parametrize("error", ["float32", "4-bit", "none"])
def test_ldadam_is_equal(error):
    tx = ldadam(1e-2, rank=4, error=error, weight_decay=0.1)
    one, one_state, _ = trajectory(tx, jnp.float64)
    many, many_state, _ = trajectory(tx, jnp.float64, eight())
    for k, p in one.items():
        np.testing.assert_allclose(many[k], p, rtol=1e-12, atol=1e-12)
    if error == "float32":
        error_leaf = many_state.error["w"]
        assert error_leaf.addressable_shards[0].data.size == error_leaf.size // 8
    assert trees.nbytes(one_state) == trees.nbytes(many_state)
