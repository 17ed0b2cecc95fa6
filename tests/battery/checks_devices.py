"""Many devices are one device."""

from __future__ import annotations

import chex
import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from battery import comparison, problems
from battery.registry import check
from battery.subject import Subject, run, step, train_loss
from jaxopt_lab import trees
from jaxopt_lab.training import init_state, make_train_step

TIGHT = {"rtol": 1e-11, "atol": 1e-13}


@check()
def sharded(subject: Subject) -> None:
    """Sharded over eight devices: the same, and the state lies as the parameters."""
    mesh = jax.make_mesh((8,), ("x",), axis_types=(AxisType.Auto,))
    split, whole = NamedSharding(mesh, P("x")), NamedSharding(mesh, P())
    values = {
        "m": jnp.linspace(-1.0, 1.2, 32).reshape(8, 4),
        "v": jnp.linspace(-0.5, 0.9, 16),
    }
    batch = jnp.linspace(0.5, 1.5, 4)
    params = jax.device_put(values, split)

    def lies(leaf):
        for p in jax.tree.leaves(params):
            more = leaf.ndim - p.ndim
            if more >= 0 and leaf.shape[more:] == p.shape:
                return NamedSharding(mesh, P(*[None] * more, "x"))
        return whole

    layout = jax.tree.map(lies, jax.eval_shape(subject.tx.init, params))
    state = jax.jit(subject.tx.init, out_shardings=layout)(params)

    @jax.jit
    def one(params, state, batch):
        return step(subject.tx, params, state, batch, problems.waves)[:2]

    for _ in range(2):
        params, state = one(params, state, jax.device_put(batch, whole))
    expected = run(subject.tx, values, batch, 2, problems.waves)
    comparison.assert_close(
        jax.device_get((params, state)), jax.device_get(expected), **TIGHT
    )
    for leaf in jax.tree.leaves(params):
        assert leaf.sharding.is_equivalent_to(split, leaf.ndim), leaf.sharding
    here = sum(x.addressable_shards[0].data.nbytes for x in jax.tree.leaves(state))
    # Keys and ages of a buffer are whole on every device, as counts are.
    small = min(p.size for p in jax.tree.leaves(params))
    counts = sum(x.nbytes for x in jax.tree.leaves(state) if x.size < small)
    share = (trees.nbytes(state) - counts) / 8 + counts
    assert here <= share, f"{here} bytes of state on a device; an eighth is {share}"


@check()
def parallel(subject: Subject) -> None:
    """Data-parallel train steps stay together and equal one device."""
    params, batch = problems.params(), problems.batch()
    loss = train_loss(problems.product)
    parts = jax.tree.map(lambda x: x.reshape(2, 2, *x.shape[1:]), batch)
    tx = there = subject.tx
    if "num_shards" in subject.row.options:  # two devices of one shard are two shards
        tx, there = (subject.transform(num_shards=m) for m in (2, 1))
    state = init_state(there, params, jax.random.key(0))
    with chex.fake_pmap():
        one = jax.pmap(
            make_train_step(loss, there, axis_name="data"),
            axis_name="data",
        )
        many = jax.tree.map(lambda x: jnp.stack([x, x]), state)
        for _ in range(2):
            many, _ = one(many, parts)
    expected, opt_state = run(tx, params, batch, 2)
    for device in range(2):
        mine = jax.tree.map(lambda x, d=device: x[d], (many.params, many.opt_state))
        comparison.assert_close(mine, (expected, opt_state), **TIGHT)
