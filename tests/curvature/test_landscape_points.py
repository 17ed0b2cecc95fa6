"""Landscapes: batches, statistics at each point, the programs that are run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.landscapes import case, tanh_loss

from jaxopt_lab.curvature.landscape import planes as landscape
from jaxopt_lab.curvature.landscape import points as landscape_points
from jaxopt_lab.curvature.landscape.directions import random_direction


@pytest.mark.full(plain=["scan"])
@pytest.mark.parametrize("mode", ["vmap", "scan", "unroll"])
def test_batches_count_as_much_as_they_have_examples(mode):
    arrays, params, axes, batch = case("mlp_a")
    part = lambda a, b: {k: v[a:b] for k, v in batch.items()}
    found = landscape.plane(
        tanh_loss,
        params,
        *axes,
        [part(0, 9), part(9, 18), part(18, 20)],
        first_steps=arrays["grid"],
        mode=mode,
    )
    np.testing.assert_allclose(found.losses, arrays["surface"], rtol=1e-12)


@pytest.mark.full
def test_examples_may_have_weights():
    arrays, params, axes, batch = case("mlp_a")
    real = jnp.arange(24) < 20
    padded = {
        "x": jnp.concatenate([batch["x"], jnp.full((4, 5), jnp.nan)]),
        "y": jnp.concatenate([batch["y"], jnp.zeros(4, batch["y"].dtype)]),
        "weight": real,
    }

    def weighted(params, batch):
        one = lambda x, y: tanh_loss(params, {"x": x[None], "y": y[None]})
        each = jnp.where(batch["weight"], jax.vmap(one)(batch["x"], batch["y"]), 0)
        return jnp.sum(each) / jnp.sum(batch["weight"])

    take = lambda part: {k: v[part] for k, v in padded.items()}
    halves = [take(slice(12)), take(slice(12, 24))]
    # Nothing but padding: its loss is 0 / 0, and must not be seen.
    halves.append(take(slice(20, 24)))
    found = landscape.line(
        weighted,
        params,
        axes[0],
        halves,
        steps=arrays["grid"],
        example_weights=lambda batch: batch["weight"],
    )
    np.testing.assert_allclose(found.losses, arrays["line"], rtol=1e-12)


def normalised_net(params, batch, statistics):
    """A layer, batch-normalised with given statistics, and a linear output."""
    x = batch["x"] @ params["kernel"]
    x = (x - statistics["mean"][None]) / jnp.sqrt(statistics["var"][None] + 1e-12)
    out = jnp.tanh(x) @ params["head"]
    return jnp.mean((out - batch["y"]) ** 2)


@pytest.mark.full
def test_statistics_are_estimated_anew_at_each_point():
    keys = jax.random.split(jax.random.key(0), 4)
    params = {
        "kernel": jax.random.normal(keys[0], (3, 4)),
        "head": jax.random.normal(keys[1], (4,)),
    }
    data = {
        "x": jax.random.normal(keys[2], (32, 3)),
        "y": jax.random.normal(keys[3], (32,)),
    }
    calls = []

    def statistics(params):
        calls.append(0)
        x = data["x"] @ params["kernel"]
        return {"mean": jnp.mean(x, axis=0), "var": jnp.var(x, axis=0)}

    halves = [
        {k: v[:20] for k, v in data.items()},
        {k: v[20:] for k, v in data.items()},
    ]
    # Along the kernel itself only its scale changes, which the layer does not see.
    along = {"kernel": params["kernel"], "head": jnp.zeros(4)}
    steps = landscape.grid(0.5, 5)
    for mode in ("vmap", "scan", "unroll"):
        anew = landscape.line(
            normalised_net,
            params,
            along,
            halves,
            steps=steps,
            state_at=statistics,
            mode=mode,
        )
        np.testing.assert_allclose(anew.losses, anew.losses[2], rtol=1e-9)
    frozen = statistics(params)
    loss = lambda p, batch: normalised_net(p, batch, frozen)
    with_frozen = landscape.line(loss, params, along, halves, steps=steps)
    np.testing.assert_allclose(with_frozen.losses[2], anew.losses[2], rtol=1e-12)
    assert np.ptp(with_frozen.losses) > 0.01


def test_one_program_whatever_the_number_of_points():
    traces = []

    def loss(w, x):
        traces.append(0)
        return jnp.mean((w - x) ** 2)

    batches = [jnp.ones(4), jnp.zeros(4)]
    told = []
    options = {"chunk_size": 8, "mode": "vmap"}
    progress = lambda done, total: told.append((done, total))
    args = (loss, jnp.ones(()), jnp.ones(()), batches)
    one = landscape.line(
        *args, steps=landscape.grid(1, 21), progress=progress, **options
    )
    assert len(traces) == 1
    assert told == [(8, 21), (16, 21), (21, 21)]
    landscape.line(*args, steps=landscape.grid(3, 21), **options)
    landscape.line(*args, steps=landscape.grid(3, 9), **options)
    assert len(traces) == 1
    expected = ((one.steps) ** 2 + (1 + one.steps) ** 2) / 2
    np.testing.assert_allclose(one.losses, expected, rtol=1e-15)


def conv_loss(w, x):
    y = jax.lax.conv_general_dilated(
        x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return jnp.mean(jnp.tanh(y) ** 2)


@pytest.mark.full
def test_convolutions_on_cpu_are_driven_from_the_host():
    w = jax.random.normal(jax.random.key(0), (3, 3, 1, 2))
    x = jax.random.normal(jax.random.key(1), (4, 5, 5, 1))
    chosen = landscape_points._chosen(conv_loss, None, (w,), [x])
    assert chosen == "unroll"
    assert landscape_points._chosen(lambda w, x: jnp.sum(w), None, (w,), [x]) == "vmap"
    in_the_state = landscape_points._chosen(
        lambda w, x, s: s, lambda w: conv_loss(w, x), (w,), [x]
    )
    assert in_the_state == "unroll"
    direction = random_direction(jax.random.key(2), w)
    told = []
    auto, vmap = (
        landscape.line(
            conv_loss,
            w,
            direction,
            [x],
            steps=[-1.0, 0.0, 1.0],
            mode=mode,
            progress=lambda done, _: told.append(done),
        )
        for mode in ("auto", "vmap")
    )
    assert told == [1, 2, 3, 3]
    np.testing.assert_allclose(auto.losses, vmap.losses, rtol=1e-12)
    # The program of one point has no loop around its convolution.
    text = landscape_points._losses.lower(
        (w, direction), np.ones((1, 2)), None, x, loss_fn=conv_loss, mode="unroll"
    ).as_text()
    assert "stablehlo.while" not in text and text.count("stablehlo.convolution") == 1


@pytest.mark.full
def test_sharded_parameters_give_the_numbers_of_one_device():
    arrays, params, axes, batch = case("mlp_a")
    mesh = jax.make_mesh((4,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
    spread = lambda tree: jax.tree.map(
        lambda x: jax.device_put(
            x,
            jax.NamedSharding(
                mesh, jax.P(*(("d",) if x.ndim and x.shape[0] % 4 == 0 else ()))
            ),
        ),
        tree,
    )
    found = landscape.plane(
        tanh_loss,
        spread(params),
        *map(spread, axes),
        [spread(batch)],
        first_steps=arrays["grid"],
    )
    np.testing.assert_allclose(found.losses, arrays["surface"], rtol=1e-12)
    np.testing.assert_allclose(
        found.cosine,
        landscape.plane(tanh_loss, params, *axes, [batch], first_steps=[0.0]).cosine,
        rtol=1e-12,
    )
