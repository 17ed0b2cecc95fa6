"""The platform that a program is traced for."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxopt_lab.core import platforms


def seen_while_traced(x):
    found = []

    def step(x):
        found.extend([platforms.traced_for(x), platforms.traced_mesh(x + 1, 3, None)])
        return x

    jax.jit(step).trace(x)
    return found


def test_without_a_mesh_it_is_that_of_the_process(monkeypatch):
    x = jax.ShapeDtypeStruct((2,), jnp.float32)
    assert seen_while_traced(x) == [jax.default_backend(), None]
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert platforms.traced_for(jnp.zeros(2), {"a": 1.0}) == "gpu"


def test_with_a_mesh_it_is_that_of_its_devices(monkeypatch):
    mesh = Mesh(np.array(jax.devices()[:1]), ("x",))
    x = jax.ShapeDtypeStruct((2,), jnp.float32, sharding=NamedSharding(mesh, P()))
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    platform, found = seen_while_traced(x)
    assert platform == "cpu" and found.axis_names == ("x",)
