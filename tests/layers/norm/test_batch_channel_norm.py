"""Batch-channel normalization against the paper's repository."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from support.layer_vectors import load, replay

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import batch_channel_norm

RNG = np.random.default_rng(0)


@pytest.mark.full(plain=["batch_g4", "estimated_batch1"])
@pytest.mark.parametrize(
    "case", ["batch_g1", "batch_g4", "estimated_batch1", "estimated_g2"]
)
def test_vectors(case):
    meta, arrays = load("bcn", case)
    for name in list(arrays):  # their names of the parameters
        arrays[name.replace("/bn_", "/")] = arrays[name]
    core = batch_channel_norm(
        meta["channels"],
        groups=meta["groups"],
        estimate=meta["estimate"],
        momentum=meta["moving_speed"] or 0.1,
    )
    replay(
        core,
        meta,
        arrays,
        params=("scale", "bias", "group_scale", "group_bias"),
        state={"mean": "mean", "var": "var"},
    )


def test_it_is_flaxs_batch_norm_and_then_its_group_norm():
    x = jnp.asarray(RNG.normal(1.0, 2.0, (3, 4, 4, 6)))
    core = batch_channel_norm(6, groups=2)
    params, state = jax.tree.map(lambda p: p.astype(float), core.init())
    params["scale"] = RNG.normal(size=6)
    same = {"use_fast_variance": False, "epsilon": 1e-5, "rngs": nnx.Rngs(0)}
    batch = nnx.BatchNorm(6, use_scale=False, use_bias=False, **same)
    for average in (batch.mean, batch.var):
        average.set_value(average.get_value().astype(float))
    group = nnx.GroupNorm(6, num_groups=2, **same)

    @jax.jit
    def run(x):
        behind = group(nnx.clone(batch)(x) * params["scale"][None, None, None])
        return core.apply(params, state, x, train=True)[0], behind

    np.testing.assert_allclose(*run(x), rtol=1e-9, atol=1e-11)


def test_the_speed_of_the_estimate_may_be_traced_and_no_gradient_flows_through_it():
    x = RNG.normal(1.0, 2.0, (1, 2, 2, 4))

    @jax.jit
    def run(speed, x):
        core = batch_channel_norm(4, groups=2, estimate=True, momentum=speed)
        params, state = jax.tree.map(lambda p: p.astype(float), core.init())
        mean = lambda x: jnp.sum(core.apply(params, state, x, train=True)[1]["mean"])
        return core.apply(params, state, x, train=True)[1], jax.grad(mean)(x)

    state, slope = run(0.3, x)
    np.testing.assert_allclose(state["mean"], 0.3 * x.mean((0, 1, 2)), rtol=1e-12)
    moment = np.mean(x * x, (0, 1, 2))
    np.testing.assert_allclose(state["var"], 0.7 + 0.3 * moment, rtol=1e-12)
    assert not np.any(slope)


def test_bad_input_gets_one_line():
    with pytest.raises(InputError, match="groups must divide the features, 6; got"):
        batch_channel_norm(6, groups=4)
    core = batch_channel_norm(6)
    params, state = core.init()
    with pytest.raises(InputError, match="batch_channel_norm .* two values"):
        core.apply(params, state, np.ones((1, 6)), train=True)
