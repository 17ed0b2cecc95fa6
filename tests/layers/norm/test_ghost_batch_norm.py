"""Ghost batch normalization against the loop of the paper's repository."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import ghost_batch_norm

FOLDER = pathlib.Path(__file__).parents[2] / "vectors" / "ghost_bn"
CASES = ("b4_g1_spatial", "b6_g6_is_plain_bn", "b8_g2", "b8_g4_m03")
RNG = np.random.default_rng(0)


def call(core, params, state, x, **options):
    """A training call, as one program."""
    run = lambda p, s, x, mask: core.apply(p, s, x, train=True, mask=mask)
    return jax.jit(run)(params, state, x, options.get("mask"))


def first_of(core):
    """First parameters and state in float64."""
    wide = lambda p: np.asarray(p, np.float64)
    return jax.tree.map(wide, core.init())


@pytest.mark.parametrize("case", CASES)
def test_vectors(case):
    with np.load(FOLDER / f"{case}.npz") as file:
        arrays = {name: file[name] for name in file.files}
    meta = json.loads(str(arrays["meta"]))
    core = ghost_batch_norm(
        arrays["weight/scale"].size,
        ghost_size=meta["ghost_size"],
        momentum=meta["torch_momentum"],
        eps=meta["eps"],
    )
    params = {n: arrays[f"weight/{n}"] for n in ("scale", "bias")}
    state = {n: arrays[f"state/init/{n}"] for n in ("mean", "var")}
    close = {"rtol": 1e-9, "atol": 1e-11}
    calls = meta["train_steps"] + meta["last_is_eval"]

    def run(train):
        def loss(params, x, state, cotangent):
            y, state = core.apply(params, state, x, train=train)
            return jnp.sum(y * cotangent), (y, state)

        return jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True))

    training, evaluation = run(True), run(False)
    for t in range(calls):
        x, cotangent = arrays[f"input/{t}/x"], arrays[f"input/{t}/cotangent"]
        step = evaluation if t == meta["train_steps"] else training
        (slopes, slope), (y, state) = step(params, x, state, cotangent)
        np.testing.assert_allclose(y, arrays[f"output/{t}"], **close)
        np.testing.assert_allclose(slope, arrays[f"grad/{t}/x"], **close)
        for name in ("scale", "bias"):
            np.testing.assert_allclose(
                slopes[name], arrays[f"grad/{t}/{name}"], **close
            )
        for name in ("mean", "var"):
            np.testing.assert_allclose(
                state[name], arrays[f"state/{t}/{name}"], **close
            )


def test_one_pass_is_the_mean_of_separate_passes():
    core = ghost_batch_norm(3, ghost_size=2)
    params, state = first_of(core)
    x = RNG.normal(size=(6, 3))

    def loss(params, x):
        y, _ = core.apply(params, state, x, train=True)
        return jnp.mean(jnp.sum(jnp.sin(y), axis=1))

    @jax.jit
    def both(x):
        parts = [jax.grad(loss)(params, x[i : i + 2]) for i in (0, 2, 4)]
        mean = jax.tree.map(lambda *g: sum(g) / 3, *parts)
        return jax.grad(loss)(params, x), mean

    for a, b in zip(*map(jax.tree.leaves, both(x)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)


def test_the_running_statistics_are_those_of_one_ghost_batch_after_another():
    core = ghost_batch_norm(3, ghost_size=4, momentum=0.3)
    params, first = first_of(core)
    x = RNG.normal(size=(12, 5, 3)) * 2 + 1
    mask = np.ones((12, 5))
    mask[:4] = 0  # the first ghost batch is padding alone
    mask[5, 2:] = 0
    x[mask == 0] = np.nan
    _, state = call(core, params, first, x, mask=mask)
    mean, var = np.zeros(3), np.ones(3)
    for i in (4, 8):
        values = x[i : i + 4][mask[i : i + 4] == 1]
        mean = 0.7 * mean + 0.3 * values.mean(axis=0)
        var = 0.7 * var + 0.3 * values.var(axis=0, ddof=1)
    np.testing.assert_allclose(state["mean"], mean, rtol=1e-12)
    np.testing.assert_allclose(state["var"], var, rtol=1e-12)


def test_large_means_do_not_spoil_the_variance_in_float32():
    core = ghost_batch_norm(1, ghost_size=512)
    params, state = core.init()
    x = (1000 + RNG.normal(size=(512, 1))).astype(np.float32)
    y, _ = call(core, params, state, x)
    wanted = (x - x.mean(dtype=np.float64)) / x.std(dtype=np.float64)
    np.testing.assert_allclose(y, wanted, atol=1e-3)


def test_eight_devices_in_a_shard_map_are_one():
    core = ghost_batch_norm(3, ghost_size=2)
    params, first = first_of(core)
    x = RNG.normal(size=(16, 4, 3))
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))

    @jax.jit
    @jax.shard_map(mesh=mesh, in_specs=(P(), P("data")), out_specs=(P("data"), P()))
    def divided(state, x):
        return core.apply(params, state, x, train=True, axis_name="data")

    y, state = divided(first, x)
    one, expected = call(core, params, first, x)
    np.testing.assert_allclose(y, one, rtol=1e-11, atol=1e-12)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), state, expected
    )


@pytest.mark.parametrize(
    "options, words",
    [
        ({"ghost_size": 0}, "ghost_size must be a whole number of at least 1"),
        ({"momentum": 1.5}, r"momentum must lie in \[0, 1\]; got 1.5"),
        ({"eps": -1.0}, "eps must be above 0; got -1.0"),
    ],
)
def test_options_out_of_range(options, words):
    with pytest.raises(InputError, match=words):
        ghost_batch_norm(4, **options)


def test_batches_that_cannot_be_cut():
    core = ghost_batch_norm(4, ghost_size=4)
    params, state = core.init()
    for batch in (6, 0):
        words = f"ghost_size=4 does not cut the batch of {batch} examples evenly"
        with pytest.raises(InputError, match=words):
            core.apply(params, state, np.ones((batch, 4)), train=True)
    single = ghost_batch_norm(4, ghost_size=1)
    with pytest.raises(InputError, match="two values of a feature"):
        single.apply(params, state, np.ones((2, 4)), train=True)
    evaluate = lambda x: core.apply(params, state, x, train=False)[0]
    assert jax.eval_shape(evaluate, np.ones((6, 4))).shape == (6, 4)
    one = lambda x: core.apply(params, state, x, train=True, axis_name="data")[0]
    with pytest.raises(InputError, match="of 2 examples on each of 3 devices evenly"):
        jax.eval_shape(jax.vmap(one, axis_name="data"), np.ones((3, 2, 4)))
