"""Compressed states on meshes of explicit axes: the steps of one device."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from support import cases

import jaxopt_lab
from jaxopt_lab.training.fused_apply import FusedApplyRecorder
from jaxopt_lab.transforms.compressed import moments

SHAPES = {"w": (64, 256), "conv": (16, 4, 256), "b": (24,), "small": (3, 5)}
SCHEDULE = optax.linear_schedule(1e-2, 1e-3, 5)


def injected(make):
    return jaxopt_lab.inject_hyperparams(
        lambda learning_rate, weight_decay: make(
            learning_rate, weight_decay=weight_decay
        )
    )(learning_rate=SCHEDULE, weight_decay=0.1)


def coded(name, **options):
    def make(*numbers, **more):
        method = getattr(jaxopt_lab, name)
        return method(*numbers, min_size=100, **options, **more)

    return make


def micro(*numbers, **options):
    return jaxopt_lab.microadam(
        *numbers, block_size=256, density=0.02, window=3, **options
    )


METHODS = {
    "8 bits": lambda: coded("adamw8bit")(1e-2),
    "8 bits in chunks": lambda: coded("adamw8bit", chunk=4096)(1e-2),
    "8 bits, injected": lambda: injected(coded("adamw8bit")),
    "8 bits, masked decay": lambda: coded("adamw8bit")(
        1e-2, weight_decay=0.1, mask=lambda p: jax.tree.map(lambda x: x.ndim > 1, p)
    ),
    "4 bits": lambda: coded("adamw4bit")(1e-2),
    "4 bits, stochastic": lambda: coded("adamw4bit", stochastic=True)(1e-2),
    "fp8": lambda: coded("adamw_fp8")(1e-2),
    "linear": lambda: coded("adamw_linear")(1e-2),
    "any transformation": lambda: jaxopt_lab.quantize_state(
        optax.adam(1e-2), select=moments(100)
    ),
    "MicroAdam": lambda: micro(1e-2, chunk=None),
    "MicroAdam in chunks": lambda: micro(1e-2, chunk=4096),
    "MicroAdam, injected": lambda: injected(micro),
}
PLAIN = {name for name in METHODS if not name.startswith("MicroAdam")}


def tree(seed):
    draw = np.random.default_rng(seed)
    return {k: jnp.asarray(draw.normal(size=s), jnp.float32) for k, s in SHAPES.items()}


def spread(values, mesh):
    def lies(x):
        return NamedSharding(mesh, P("x") if x.shape[0] % 8 == 0 else P())

    return jax.tree.map(lambda x: jax.device_put(x, lies(x)), values)


def run(tx, place=lambda x: x, fused=False):
    def step(params, state, grads):
        if fused:
            recorder = FusedApplyRecorder()
            updates, state = tx.update(grads, state, params, fused_apply=recorder)
            return recorder.apply(params, updates), state
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    params, step = place(tree(0)), jax.jit(step)
    state = jax.jit(tx.init)(params)
    for t in range(3):
        params, state = step(params, state, place(tree(t + 1)))
    return params, state


# A selection of MicroAdam may fall the other way where the compiler does not optimize.
@pytest.mark.full
@pytest.mark.parametrize("name", cases.plain(METHODS, PLAIN))
def test_the_steps_of_one_device(name):
    mesh = jax.make_mesh((8,), ("x",))
    assert mesh.axis_types == (jax.sharding.AxisType.Explicit,)
    tx = METHODS[name]()
    with jax.set_mesh(mesh):
        params, state = run(tx, lambda x: spread(x, mesh))
    many, one = jax.device_get(((params, state), run(tx)))
    if name == "any transformation":
        # optax's sums are fused differently where a tensor is not coded.
        chex.assert_trees_all_close(many, one, rtol=1e-6, atol=1e-7)
    else:
        chex.assert_trees_all_equal(many, one)
    assert jax.typeof(params["w"]).sharding.spec == P("x", None)
    # The state is sharded as the parameters, from the first step on.
    for path, x in jax.tree.leaves_with_path(state):
        if x.size > 24:
            here = x.addressable_shards[0].data.size
            assert here * 8 == x.size, jax.tree_util.keystr(path)


@pytest.mark.full
@pytest.mark.parametrize("name", ["8 bits in chunks", "MicroAdam in chunks"])
def test_through_the_fused_apply(name):
    mesh = jax.make_mesh((8,), ("x",))
    with jax.set_mesh(mesh):
        many = run(METHODS[name](), lambda x: spread(x, mesh), fused=True)
    chex.assert_trees_all_equal(
        *jax.device_get((many, run(METHODS[name](), fused=True)))
    )


@pytest.mark.full
@pytest.mark.parametrize("name", ["8 bits", "any transformation", "MicroAdam"])
def test_op_by_op_no_mesh_has_to_be_set(name):
    mesh, tx = jax.make_mesh((8,), ("x",)), METHODS[name]()
    params, grads = (spread(tree(i), mesh) for i in (0, 1))
    updates, _ = jax.jit(tx.update)(grads, tx.init(params), params)
    wanted, _ = jax.jit(tx.update)(tree(1), tx.init(tree(0)), tree(0))
    chex.assert_trees_all_close(*jax.device_get((updates, wanted)), rtol=1e-6)
