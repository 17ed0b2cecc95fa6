"""One step under pmap, shard_map and jit: the numbers of one device."""

import re

import chex
import jax
import jax.numpy as jnp
import optax
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from support.sharded import shard_sam

import jaxopt_lab
from jaxopt_lab.training import init_state, make_train_step

N = 8
BATCH = {
    "x": jax.random.normal(jax.random.key(1), (16, 5), jnp.float64),
    "y": jax.random.normal(jax.random.key(2), (16, 3), jnp.float64),
}
PARAMS = {
    "one": jax.random.normal(jax.random.key(3), (5, 7), jnp.float64) / 2,
    "two": jax.random.normal(jax.random.key(4), (7, 3), jnp.float64) / 2,
}


def loss_fn(params, model_state, batch, key):
    hidden = jnp.tanh(batch["x"] @ params["one"])
    new = {
        "mean": 0.9 * model_state["mean"] + 0.1 * jnp.mean(hidden),
        "count": model_state["count"] + 1,
    }
    error = hidden @ params["two"] - batch["y"]
    return jnp.mean(error**2), (new, {"mae": jnp.mean(jnp.abs(error))})


def chain(link):
    links = () if link is None else (link,)
    return optax.chain(*links, optax.sgd(0.1, momentum=0.9))


def fresh(tx):
    statistics = {"mean": jnp.zeros(()), "count": jnp.zeros((), jnp.int32)}
    return init_state(tx, PARAMS, jax.random.key(0), statistics)


def one_device(tx):
    return run(jax.jit(make_train_step(loss_fn, tx)), fresh(tx), BATCH)


def run(step, state, batch, steps=3):
    for _ in range(steps):
        state, metrics = step(state, batch)
    return state._replace(key=None), metrics


def mesh():
    return jax.make_mesh((N,), ("data",), axis_types=(AxisType.Auto,))


def by_jit(tx):
    batch = jax.device_put(BATCH, NamedSharding(mesh(), P("data")))
    return run(jax.jit(make_train_step(loss_fn, tx)), fresh(tx), batch)


def by_shard_map(tx, check_vma):
    step = make_train_step(loss_fn, tx, axis_name="data")
    mapped = jax.shard_map(
        step,
        mesh=mesh(),
        in_specs=(P(), P("data")),
        out_specs=(P(), P()),
        check_vma=check_vma,
    )
    return run(jax.jit(mapped), fresh(tx), BATCH)


def by_pmap(tx):
    step = jax.pmap(make_train_step(loss_fn, tx, axis_name="data"), axis_name="data")
    state = jax.tree.map(lambda x: jnp.stack([x] * N), fresh(tx))
    batch = jax.tree.map(lambda x: x.reshape(N, -1, *x.shape[1:]), BATCH)
    state, metrics = run(step, state, batch)
    for leaf in jax.tree.leaves((state, metrics)):
        assert bool(jnp.all(leaf == leaf[:1])), "the devices have drifted apart"
    return jax.tree.map(lambda x: x[0], (state, metrics))


STYLES = {
    "pmap": by_pmap,
    "shard_map with check_vma": lambda tx: by_shard_map(tx, True),
    "shard_map without": lambda tx: by_shard_map(tx, False),
}
GLOBAL = {"plain": lambda: None, "sam": lambda: jaxopt_lab.sam(0.1)}


@pytest.mark.full
@pytest.mark.parametrize("style", [*STYLES, "jit"])
@pytest.mark.parametrize("name", GLOBAL)
def test_global_links(name, style):
    tx = chain(GLOBAL[name]())
    got = by_jit(tx) if style == "jit" else STYLES[style](tx)
    chex.assert_trees_all_close(got, one_device(tx), rtol=1e-12)


@pytest.mark.full
@pytest.mark.parametrize("style", STYLES)
def test_local_perturbations_are_shards_of_one_device(style):
    got = STYLES[style](chain(jaxopt_lab.sam(0.1, sync="local")))
    state, metrics = one_device(chain(shard_sam(0.1, N)))
    # The link's own count is the only difference between the two states.
    chex.assert_trees_all_close(got[0].params, state.params, rtol=1e-12)
    chex.assert_trees_all_close(got[0].model_state, state.model_state, rtol=1e-12)
    chex.assert_trees_all_close(got[1], metrics, rtol=1e-12)


@pytest.mark.full
@pytest.mark.parametrize("style", STYLES)
def test_two_shards_on_each_device_are_sixteen_on_one(style):
    got, _ = STYLES[style](chain(shard_sam(0.1, 2)))
    state, _ = one_device(chain(shard_sam(0.1, 2 * N)))
    chex.assert_trees_all_close(got.params, state.params, rtol=1e-12)


@pytest.mark.full
def test_dropout_keys_of_devices_and_shards_agree():
    def noisy(params, model_state, batch, key):
        mask = jax.random.bernoulli(key, 0.5, (7,))
        hidden = jnp.tanh(batch["x"] @ params["one"]) * mask[None]
        error = hidden @ params["two"] - batch["y"]
        return jnp.mean(error**2), (model_state, {})

    one = chain(shard_sam(0.1, 2 * N))
    many = chain(shard_sam(0.1, 2))
    expected, _ = run(jax.jit(make_train_step(noisy, one)), fresh(one), BATCH)
    step = jax.shard_map(
        make_train_step(noisy, many, axis_name="data"),
        mesh=mesh(),
        in_specs=(P(), P("data")),
        out_specs=(P(), P()),
    )
    got, _ = run(jax.jit(step), fresh(many), BATCH)
    chex.assert_trees_all_close(got.params, expected.params, rtol=1e-12)


@pytest.mark.full(plain=["local-1"])
@pytest.mark.parametrize("sync, number", [("local", 1), ("global", 2)])
def test_all_reduced_bytes(sync, number):
    tx = chain(jaxopt_lab.sam(0.1, sync=sync))
    step = make_train_step(loss_fn, tx, axis_name="data")
    mapped = jax.shard_map(
        step, mesh=mesh(), in_specs=(P(), P("data")), out_specs=(P(), P())
    )
    text = jax.jit(mapped).lower(fresh(tx), BATCH).compile().as_text()
    parameters = sum(x.size for x in jax.tree.leaves(PARAMS))
    assert all_reduced_elements(text, at_least=20) == number * parameters


def all_reduced_elements(text, at_least):
    """Elements of the all-reduces' operands; scalars (loss, metrics) left out."""
    total = 0
    for line in text.splitlines():
        found = re.search(r"= (.*?) all-reduce(?:-start)?\(", line)
        if found:
            for shape in re.findall(r"\[([\d,]*)\]", found.group(1)):
                size = 1
                for n in filter(None, shape.split(",")):
                    size *= int(n)
                total += size if size >= at_least else 0
    return total
