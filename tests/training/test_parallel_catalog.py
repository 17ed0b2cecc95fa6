"""Every method of the catalog on two devices, in every style: one device's numbers."""

import functools

import jax
import numpy as np
import pytest
from conformance import problems
from conformance.subject import Subject, train_loss
from support import cases

from jaxopt_lab import catalog
from jaxopt_lab.training import (
    init_state,
    make_mesh,
    make_parallel_step,
    make_train_step,
    state_shardings,
    storage_shardings,
)

CATALOG = catalog.of_kind("transform")

LOSS = train_loss(problems.product)
# A selection by rank may fall the other way where gradients differ by a rounding.
TIGHT = {"rtol": 1e-10, "atol": 1e-12}


def params():
    return problems.params()


def after(step, state, jitted=True, steps=2):
    run = jax.jit(step) if jitted else step
    for _ in range(steps):
        state, metrics = run(state, problems.batch())
    return jax.device_get((state.params, state.opt_state, metrics["loss"]))


def chosen(row, shards):
    """The method with its number of shards for each device, if it has any."""
    subject = Subject(row)
    if "num_shards" in row.options:
        return subject.transform(num_shards=shards)
    return subject.tx


@functools.cache
def mesh():
    return make_mesh("data:2")


@pytest.mark.parametrize("row", cases.plain(CATALOG.values(), {"sam", "adamw8bit"}))
def test_three_styles_are_one_device(row):
    tx = chosen(row, 2)
    state = init_state(tx, params(), jax.random.key(0))
    expected = after(make_train_step(LOSS, tx), state)
    for style in ("jit", "vmap", "shard_map", "pmap"):
        tx = chosen(row, 2 if style == "jit" else 1)
        there = state_shardings(state, [], mesh())
        step = make_parallel_step(
            LOSS,
            tx,
            mesh(),
            there,
            style="jit" if style == "vmap" else style,
            per_device=style != "jit",
        )
        got = after(step, jax.device_put(state, there), jitted=style != "pmap")
        check_equal(got, expected, style)


@pytest.mark.parametrize("row", cases.plain(CATALOG.values(), {"adamw8bit"}))
def test_a_divided_state_is_one_device(row):
    tx = chosen(row, 2)
    state = init_state(tx, params(), jax.random.key(0))
    named = {"replicated": row.whole_state, "factored": row.factored_state}
    inside = state_shardings(state, [], mesh(), zero_axis="data", **named)
    stored = storage_shardings(state, inside, "data")
    step = make_parallel_step(LOSS, tx, mesh(), inside, storage=stored)
    got = after(step, jax.device_put(state, stored))
    check_equal(got, after(make_train_step(LOSS, tx), state), "divided")


def check_equal(got, expected, style):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(
            plain(a), plain(b), err_msg=style, **TIGHT
        ),
        got,
        expected,
    )


def plain(x):
    if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
        return np.asarray(jax.random.key_data(x))
    return np.asarray(x, np.float64)
