"""A run saved on eight devices goes on with four and with one as with eight."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import jaxopt_lab
from jaxopt_lab.runtime import Checkpoints

SHAPES = {"w": (64, 256), "cube": (16, 4, 256), "b": (40,)}
METHODS = {
    "adamw8bit": lambda: jaxopt_lab.adamw8bit(1e-2, min_size=1000),
    "adamw4bit": lambda: jaxopt_lab.adamw4bit(1e-2, min_size=1000, stochastic=True),
    "microadam": lambda: jaxopt_lab.microadam(
        1e-2, block_size=512, density=0.02, window=3
    ),
    "ldadam": lambda: jaxopt_lab.ldadam(1e-2, rank=4, error="float32"),
}


def tree(seed, dtype):
    draw = np.random.default_rng(seed)
    return {k: jnp.asarray(draw.normal(size=s), dtype) for k, s in SHAPES.items()}


class Run:
    """A method on some devices, everything cut along its first axis if it can be."""

    def __init__(self, name, devices):
        self.tx = METHODS[name]()
        self.dtype = jnp.float64 if name == "ldadam" else jnp.float32
        self.mesh = jax.make_mesh(
            (devices,),
            ("x",),
            axis_types=(AxisType.Auto,),
            devices=jax.devices()[:devices],
        )
        params = jax.eval_shape(lambda: tree(0, self.dtype))
        shapes = (params, jax.eval_shape(self.tx.init, params))
        self.lies = jax.tree.map(self.place, shapes)
        self.template = jax.tree.map(
            lambda x, place: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place),
            shapes,
            self.lies,
        )

    def place(self, x):
        cut = x.ndim and x.shape[0] % self.mesh.size == 0
        return NamedSharding(self.mesh, P("x") if cut else P())

    def start(self):
        params = jax.device_put(tree(0, self.dtype), self.lies[0])
        return params, jax.jit(self.tx.init, out_shardings=self.lies[1])(params)

    def steps(self, now, numbers):
        @functools.partial(jax.jit, out_shardings=self.lies)
        def step(params, state, grads):
            updates, state = self.tx.update(grads, state, params)
            return optax.apply_updates(params, updates), state

        for t in numbers:
            grads = jax.device_put(tree(t + 1, self.dtype), self.lies[0])
            now = step(*now, grads)
        return now


@pytest.mark.full
@pytest.mark.parametrize("name", METHODS)
def test_resumed_on_fewer_devices(name, tmp_path):
    eight = Run(name, 8)
    half = eight.steps(eight.start(), range(2))
    with Checkpoints(tmp_path) as kept:
        kept.save(2, half, data={})
    wanted = jax.device_get(eight.steps(half, range(2, 4)))
    for devices in (4, 1):
        fewer = Run(name, devices)
        restored = Checkpoints(tmp_path).restore(fewer.template)
        assert restored.step == 2
        w = restored.state[0]["w"]
        assert w.sharding.mesh.size == devices
        assert w.addressable_shards[0].data.size == w.size // devices
        got = jax.device_get(fewer.steps(restored.state, range(2, 4)))
        if name == "ldadam":
            chex.assert_trees_all_close(got, wanted, rtol=1e-12, atol=1e-12)
        else:
            chex.assert_trees_all_equal(got, wanted)
