"""Bytes that a sharpness-aware step sends: one gradient, or two."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from support.collectives import all_reduced, collectives, partitioned_text

import jaxopt_lab
from jaxopt_lab.core import trees
from jaxopt_lab.training import init_state, make_train_step

N = 8
AXES = {"data": N}
MAPPED = ("shard_map with check_vma", "shard_map without")
SIZES = (6, 10, 7, 3)


def problem(dtype):
    keys = jax.random.split(jax.random.key(0), len(SIZES) + 1)
    params = {
        f"layer{i}": {
            "kernel": jax.random.normal(keys[i], SIZES[i : i + 2], dtype) / 2,
            "bias": jnp.zeros(SIZES[i + 1], dtype),
        }
        for i in range(len(SIZES) - 1)
    }
    batch = {
        "x": jax.random.normal(keys[-2], (2 * N, SIZES[0]), dtype),
        "y": jax.random.normal(keys[-1], (2 * N, SIZES[-1]), dtype),
    }
    return params, batch


def loss_fn(params, model_state, batch, key):
    h = batch["x"]
    for layer in params.values():
        h = jnp.tanh(h @ layer["kernel"] + layer["bias"][None])
    error = h - batch["y"]
    return jnp.mean(error**2), (model_state, {"mae": jnp.mean(jnp.abs(error))})


def text_of(link, style, dtype=jnp.float64, more=None):
    """The partitioned module of one step; ``more`` is done to its new state."""
    tx = optax.chain(link, optax.sgd(0.1, momentum=0.9))
    params, batch = problem(dtype)
    state = init_state(tx, params, jax.random.key(0))
    mesh = Mesh(np.array(jax.devices()), ("data",))
    axis_name = None if style == "jit" else "data"
    inner = make_train_step(loss_fn, tx, axis_name=axis_name)

    def step(state, batch):
        state, metrics = inner(state, batch)
        return (state, metrics) if more is None else (more(state, batch), metrics)

    if style == "jit":
        batch = jax.device_put(batch, NamedSharding(mesh, P("data")))
        state = jax.device_put(state, NamedSharding(mesh, P()))
        return partitioned_text(jax.jit(step).lower(state, batch))
    mapped = jax.shard_map(
        step,
        mesh=mesh,
        in_specs=(P(), P("data")),
        out_specs=(P(), P()),
        check_vma=style == MAPPED[0],
    )
    return partitioned_text(jax.jit(mapped).lower(state, batch))


def gradient_bytes(dtype=jnp.float64):
    """Bytes of one ring all-reduce of the gradient, sent by each device."""
    itemsize = jnp.dtype(dtype).itemsize
    return 2 * (N - 1) / N * itemsize * trees.count(problem(dtype)[0])


def check(text, gradients, dtype=jnp.float64):
    sent = collectives(text, AXES)
    assert {c.group for c in sent} == {N}
    assert all_reduced(sent) == gradients * gradient_bytes(dtype)
    # The loss and the one metric; whatever else there is would be a waste.
    assert sum(not c.array.shape for c in sent) == 2


@pytest.mark.full
@pytest.mark.parametrize(
    "style, dtype",
    [(MAPPED[0], jnp.float64), (MAPPED[1], jnp.float64), (MAPPED[0], jnp.float32)],
)
def test_local_perturbations_send_one_gradient(style, dtype):
    check(text_of(jaxopt_lab.sam(0.1, sync="local"), style, dtype), 1, dtype)


@pytest.mark.full(plain=["shard_map without-1"])
@pytest.mark.parametrize(
    "style, shards", [(MAPPED[0], 1), (MAPPED[1], 1), (MAPPED[0], 2)]
)
def test_shards_on_each_device_send_one_gradient(style, shards):
    check(text_of(jaxopt_lab.msam(0.1, num_shards=shards), style), 1)


@pytest.mark.full(plain=[f"{N}"])
@pytest.mark.parametrize("shards", [N, 2 * N])
def test_shards_of_a_sharded_batch_send_one_gradient(shards):
    check(text_of(jaxopt_lab.msam(0.1, num_shards=shards), "jit"), 1)


@pytest.mark.full
def test_devices_that_share_a_shard_send_its_gradient_besides():
    link = jaxopt_lab.msam(0.1, num_shards=N // 2)
    sent = collectives(text_of(link, "jit"), AXES)
    # A matrix: the shard's first gradient between its two devices, and the mean between
    # all, in one message. The sums of a bias take one for each of the two axes.
    matrices = [c for c in sent if sum(n > 1 for n in c.array.shape) == 2]
    count = sum(a * b for a, b in itertools.pairwise(SIZES))
    assert all_reduced(matrices) == 8 * count * (1 + 2 * (N - 1) / N)


@pytest.mark.full(plain=["jit"])
@pytest.mark.parametrize("style", [*MAPPED, "jit"])
def test_a_common_perturbation_sends_two_gradients(style):
    check(text_of(jaxopt_lab.sam(0.1), style), 2)


@pytest.mark.full
@pytest.mark.parametrize("name", ["asam", "gsam"])
def test_the_links_with_sync_send_what_sam_sends(name):
    link = getattr(jaxopt_lab, name)
    check(text_of(link(0.1), MAPPED[0]), 2)
    check(text_of(link(0.1, sync="local"), MAPPED[0]), 1)


@pytest.mark.full(plain=["shard_map with check_vma"])
@pytest.mark.parametrize("style", MAPPED)
def test_one_more_all_reduce_is_seen(style):
    def more(state, batch):
        kernel = state.params["layer1"]["kernel"]
        # Differs between the devices, so it cannot be left out.
        extra = jax.lax.pmean(kernel * batch["x"][0, 0], "data")
        state.params["layer1"]["kernel"] = kernel + extra
        return state

    text = text_of(jaxopt_lab.sam(0.1, sync="local"), style, more=more)
    planted = 2 * (N - 1) / N * 8 * SIZES[1] * SIZES[2]
    assert all_reduced(collectives(text, AXES)) == gradient_bytes() + planted
    with pytest.raises(AssertionError):
        check(text, 1)
