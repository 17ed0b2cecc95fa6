"""Steps on many devices: bytes sent, refused input, kept shardings."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from support.collectives import collectives, partitioned_text

import jaxopt_lab
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.training import (
    init_state,
    make_mesh,
    make_parallel_step,
    make_train_step,
    param_specs,
    state_shardings,
)

N = 8
SHAPES = {"a": (32, 64), "b": (64,), "c": (64, 8), "odd": (7,)}
PARAMETERS = 32 * 64 + 64 + 64 * 8 + 7


def params(dtype=jnp.float32):
    draw = np.random.default_rng(0)
    return {k: jnp.asarray(draw.normal(size=s) / 5, dtype) for k, s in SHAPES.items()}


def batch(dtype=jnp.float32, examples=32):
    draw = np.random.default_rng(1)
    return {"x": jnp.asarray(draw.normal(size=(examples, 32)), dtype)}


def loss_fn(params, model_state, batch, key):
    h = jnp.tanh(batch["x"] @ params["a"] + params["b"][None])
    rows = jnp.mean((h @ params["c"]) ** 2, axis=1)
    rows = rows + jnp.sum((batch["x"][:, :7] * params["odd"][None]) ** 2, axis=1)
    return jnp.mean(rows), (model_state, {})


def made(tx, mesh="data", rules=(), zero_axis=None, dtype=jnp.float32, **options):
    mesh = make_mesh(mesh)
    state = init_state(tx, params(dtype), jax.random.key(0))
    there = state_shardings(state, rules, mesh, zero_axis=zero_axis)
    step = make_parallel_step(loss_fn, tx, mesh, there, **options)
    return step, jax.device_put(state, there), there, mesh


def placed(mesh, dtype=jnp.float32):
    return jax.device_put(batch(dtype), NamedSharding(mesh, P("data")))


def bytes_sent(tx, *, mesh="data", **options):
    """Bytes a parameter by kind and axes, the loss left out."""
    step, state, there, mesh = made(tx, mesh, **options)
    run = jax.jit(step, out_shardings=(there, None), donate_argnums=0)
    text = partitioned_text(run.lower(state, placed(mesh)))
    total = {}
    for one in collectives(text, mesh.shape):
        if one.array.shape:
            key = (one.kind, *one.axes)
            total[key] = total.get(key, 0) + one.ring_bytes / PARAMETERS
    return total


ONE = pytest.approx(2 * (N - 1) / N * 4)
TWICE = pytest.approx(2 * 2 * (N - 1) / N * 4)
SAM = functools.partial(jaxopt_lab.sam, 0.05)


@pytest.mark.full(plain=["{'style': 'shard_map'}"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"per_device": True},
        {"style": "shard_map"},
        {"micro_batches": 4},
        {"micro_batches": 4, "style": "shard_map"},
    ],
    ids=str,
)
def test_plain_data_parallel_sends_one_gradient(options):
    """Accumulated micro-batches too: they are summed before anything is sent."""
    assert bytes_sent(optax.adam(1e-3), **options) == {("all-reduce", "data"): ONE}


@pytest.mark.full
@pytest.mark.parametrize("options", [{}, {"style": "shard_map"}, {"micro_batches": 4}])
def test_gradients_in_bfloat16_are_half_the_bytes(options):
    sent = bytes_sent(optax.adam(1e-3), reduce_dtype="bfloat16", **options)
    assert sent == {("all-reduce", "data"): pytest.approx((N - 1) / N * 4)}
    sharp = optax.chain(SAM(), optax.sgd(0.1))
    sent = bytes_sent(sharp, reduce_dtype="bfloat16", **options)
    assert sent == {("all-reduce", "data"): ONE}


@pytest.mark.full
def test_a_scan_over_micro_batches_in_plain_jit_sends_more():
    """The waste that ``per_device`` is there to avoid: planted, and seen."""
    sent = bytes_sent(
        optax.adam(1e-3), micro_batches=4, micro_loop="scan", per_device=False
    )
    assert sum(sent.values()) > 2 * 7


@pytest.mark.full
@pytest.mark.parametrize("options", [{"per_device": True}, {"style": "shard_map"}])
def test_local_perturbations_send_one_gradient_and_common_ones_two(options):
    local = optax.chain(SAM(sync="local"), optax.sgd(0.1))
    assert bytes_sent(local, **options) == {("all-reduce", "data"): ONE}
    assert bytes_sent(optax.chain(SAM(), optax.sgd(0.1)), **options) == {
        ("all-reduce", "data"): TWICE
    }


def test_zero_in_jit_style_gathers_the_updates():
    sent = bytes_sent(optax.adam(1e-3), zero_axis="data")
    divides = (PARAMETERS - 7) / PARAMETERS
    assert sent == {
        ("all-reduce", "data"): ONE,
        ("all-gather", "data"): pytest.approx(divides * (N - 1) / N * 4),
    }


@pytest.mark.full
def test_zero_in_shard_map_sends_as_much_as_plain():
    sent = bytes_sent(
        optax.adam(1e-3), zero_axis="data", style="shard_map", elementwise=True
    )
    share = (PARAMETERS - 7) / PARAMETERS * (N - 1) / N * 4
    assert sent == {
        ("reduce-scatter", "data"): pytest.approx(share),
        ("all-gather", "data"): pytest.approx(share),
        # What does not divide is averaged whole.
        ("all-reduce", "data"): pytest.approx(7 / PARAMETERS * 2 * (N - 1) / N * 4),
    }


@pytest.mark.full(plain=["True-{'zero_axis': 'data'}"])
@pytest.mark.parametrize(
    "options",
    [
        {"zero_axis": "data"},
        {"zero_axis": "data", "style": "shard_map", "elementwise": True},
        {
            "zero_axis": "data",
            "style": "shard_map",
            "elementwise": True,
            "micro_batches": 2,
        },
        {
            "mesh": "data:4,model:2",
            "rules": [("a", P(None, "model"))],
            "zero_axis": "data",
        },
        {"mesh": "data:4,model:2", "rules": [("c", P("model"))], "per_device": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("skip_nonfinite", [False, True])
def test_divided_states_give_the_numbers_of_one_device(options, skip_nonfinite):
    tx = optax.adamw(1e-2)
    options = {**options, "skip_nonfinite": skip_nonfinite}
    step, state, there, mesh = made(tx, dtype=jnp.float64, **options)
    run = jax.jit(step, out_shardings=(there, None))
    alone = init_state(tx, params(jnp.float64), jax.random.key(0))
    single = jax.jit(make_train_step(loss_fn, tx))
    for _ in range(3):
        state, metrics = run(state, placed(mesh, jnp.float64))
        alone, expected = single(alone, batch(jnp.float64))
    assert ("skipped" in metrics) == skip_nonfinite
    np.testing.assert_allclose(metrics["loss"], expected["loss"], rtol=1e-14)
    for a, b in zip(
        jax.tree.leaves((state.params, state.opt_state)),
        jax.tree.leaves((alone.params, alone.opt_state)),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-15)
    for x, lies in zip(jax.tree.leaves(state), jax.tree.leaves(there), strict=True):
        assert x.sharding.is_equivalent_to(lies, x.ndim)


@pytest.mark.full
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"style": "shard_map"},
        {"style": "shard_map", "zero_axis": "data", "elementwise": True},
    ],
    ids=str,
)
def test_gradients_in_bfloat16_are_rounded_and_no_more(options):
    def gradient(**more):
        options_ = {**options, **more}
        step, state, there, mesh = made(optax.sgd(1.0, momentum=0.0), **options_)
        run = jax.jit(step, out_shardings=(there, None))
        after, metrics = run(state, placed(mesh))
        return jax.device_get(
            (jax.tree.map(lambda a, b: a - b, state.params, after.params), metrics)
        )

    (exact, metrics), (rounded, same) = gradient(), gradient(reduce_dtype="bfloat16")
    assert metrics["loss"] == same["loss"]
    for name, g in exact.items():
        scale = np.abs(g).max()
        off = np.abs(rounded[name] - g).max() / scale
        # Each device's gradient is larger than their mean, by little here.
        assert 1e-5 < off < 2**-6, name


def test_a_nan_on_one_device_skips_the_step_on_all():
    step, state, _, _ = made(
        optax.adam(1e-3),
        zero_axis="data",
        style="shard_map",
        elementwise=True,
        skip_nonfinite=True,
    )
    bad = {"x": batch()["x"].at[3, 2].set(jnp.nan)}
    after, metrics = jax.jit(step)(state, bad)
    assert float(metrics["skipped"]) == 1.0
    for a, b in zip(
        jax.tree.leaves((after.params, after.opt_state)),
        jax.tree.leaves((state.params, state.opt_state)),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


@pytest.mark.full
def test_the_slice_of_a_norm_is_silently_wrong_which_is_why_it_is_refused():
    tx = optax.chain(optax.clip_by_global_norm(0.01), optax.sgd(0.1, momentum=0.9))
    step, state, _, _ = made(
        tx, zero_axis="data", style="shard_map", elementwise=True, dtype=jnp.float64
    )
    wrong, _ = jax.jit(step)(state, batch(jnp.float64))
    right, _ = jax.jit(make_train_step(loss_fn, tx))(state, batch(jnp.float64))
    assert float(jnp.max(jnp.abs(wrong.params["a"] - right.params["a"]))) > 1e-5


@pytest.mark.parametrize(
    "options, said",
    [
        ({"style": "jitt"}, "unknown style 'jitt'; perhaps you meant 'jit'"),
        ({"mesh": "model:8"}, "mesh axis 'data'; the axes are model"),
        ({"style": "pmap", "mesh": "data:4,model:2"}, "one axis 'data'.*style=jit"),
        ({"style": "pmap", "zero_axis": "data"}, "style=pmap with a sharded state"),
        ({"style": "shard_map", "zero_axis": "data"}, "elementwise=True"),
        (
            {"reduce_dtype": "bfloat16", "per_device": False},
            "reduce_dtype=bfloat16 needs per_device=True",
        ),
        ({"style": "pmap", "per_device": False}, "always computes per device"),
        (
            {"rules": [("a", P("data"))], "style": "shard_map", "elementwise": True},
            "style=shard_map with a sharded state",
        ),
    ],
    ids=str,
)
def test_what_cannot_be_had(options, said):
    with pytest.raises(InputError, match=said):
        made(optax.adam(1e-3), **options)


@pytest.mark.parametrize("style", ["jit", "shard_map", "pmap"])
def test_a_batch_that_does_not_divide(style):
    step, state, _, _ = made(optax.adam(1e-3), style=style)
    with pytest.raises(InputError, match=r"8 equal parts.*x has shape \(30, 32\)"):
        (step if style == "pmap" else jax.jit(step))(state, batch(examples=30))


@pytest.mark.full
def test_one_device_is_the_plain_step():
    step, state, _, mesh = made(optax.adam(1e-3), "data:1")
    assert param_specs(state.params, (), mesh)["a"] == P()
    after, _ = jax.jit(step)(state, batch())
    plain, _ = jax.jit(make_train_step(loss_fn, optax.adam(1e-3)))(state, batch())
    jax.tree.map(np.testing.assert_array_equal, after.params, plain.params)
