"""One train step of ``links.problem`` on several devices, in every style."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxopt_lab.training import init_state, make_train_step
from support import links
from support.parity import train_loss

STYLES = ("pmap", "shard_map with check_vma", "shard_map without", "jit")


def parameters_after(
    tx: optax.GradientTransformation, style: str, devices: int, steps: int = 3
) -> Any:
    """Parameters after some steps with the batch cut over the devices."""
    params, batch, loss = links.problem()
    state = init_state(tx, params, jax.random.key(0))
    on = jax.devices()[:devices]
    mesh = Mesh(np.array(on), ("data",))
    axis_name = None if style == "jit" else "data"
    step = make_train_step(train_loss(loss), tx, axis_name=axis_name)
    if style == "jit":
        batch = jax.device_put(batch, NamedSharding(mesh, P("data")))
        state = jax.device_put(state, NamedSharding(mesh, P()))
        run = jax.jit(step)
    elif style == "pmap":
        run = jax.pmap(step, axis_name="data", devices=on)
        state = jax.tree.map(lambda x: jnp.stack([x] * devices), state)
        batch = jax.tree.map(lambda x: x.reshape(devices, -1, *x.shape[1:]), batch)
    else:
        run = jax.jit(
            jax.shard_map(
                step,
                mesh=mesh,
                in_specs=(P(), P("data")),
                out_specs=(P(), P()),
                check_vma=style == "shard_map with check_vma",
            )
        )
    for _ in range(steps):
        state, _ = run(state, batch)
    if style != "pmap":
        return state.params
    for leaf in jax.tree.leaves(state.params):
        assert bool(jnp.all(leaf == leaf[:1])), "the devices have drifted apart"
    return jax.tree.map(lambda x: x[0], state.params)
