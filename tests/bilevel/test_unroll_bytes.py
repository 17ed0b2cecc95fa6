"""Bytes of an unroll: the bars, and what the plan predicts of them."""

import functools

import jax
import jax.numpy as jnp
import optax
import pytest
from support import unrolled

from jaxopt_lab.bilevel import plan_unroll, unroll
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.training import init_state, make_train_step

RATE = jax.ShapeDtypeStruct((), jnp.float32)


def shapes(hidden):
    params = jax.eval_shape(lambda: unrolled.net(hidden, jax.random.key(0)))
    return params, jax.eval_shape(unrolled.data)


@functools.cache
def measured(hidden, n, remat):
    with jax.enable_x64(False):
        gradient = jax.value_and_grad(unrolled.outer(n, remat=remat), (0, 1))
        return unrolled.temporary_bytes(gradient, RATE, *shapes(hidden))


def planned(hidden, n, **options):
    """The plan as ``unroll`` sees it, with a traced learning rate."""
    found = []
    params, batch = shapes(hidden)
    state = jax.eval_shape(unrolled.adam_start, params)

    def look(rate, batch):
        step = unrolled.adam_step(rate, batch)
        found.append(plan_unroll(step, state, n, **options))

    with jax.enable_x64(False):
        jax.eval_shape(look, RATE, batch)
    return found[0]


@pytest.mark.full
@pytest.mark.parametrize(
    "hidden, remat, bar",
    [
        (64, "sqrt", 5.8e6),
        (64, 3, 2.9e6),
        (64, 4, 2.3e6),
        (256, "sqrt", 63.5e6),
        (256, 3, 31e6),
    ],
)
def test_reverse_mode(hidden, remat, bar):
    found = measured(hidden, 1000, remat)
    assert found <= bar
    predicted = planned(hidden, 1000, remat=remat).predicted_bytes
    assert predicted == pytest.approx(found, rel=0.03)


@pytest.mark.full
@pytest.mark.parametrize("hidden, bar", [(64, 0.35e6), (256, 3.2e6)])
def test_forward_mode(hidden, bar):
    def tangent(rate, params, batch):
        run = lambda rate: unrolled.outer(1000, remat="none")(rate, params, batch)
        return jax.jvp(run, (rate,), (jnp.ones_like(rate),))

    with jax.enable_x64(False):
        assert unrolled.temporary_bytes(tangent, RATE, *shapes(hidden)) <= bar


@pytest.mark.full
def test_a_number_of_steps_that_is_no_product():
    plan = planned(64, 997, remat=3)
    assert (plan.lengths, plan.rest, plan.carries) == ((9, 10, 11), 7, 37)
    assert plan.predicted_bytes == pytest.approx(measured(64, 997, 3), rel=0.03)


def test_the_fewest_levels_that_fit():
    plan = functools.partial(
        plan_unroll, lambda w, t: w * jnp.cos(w), jnp.ones(100), 1000
    )
    one, two, three = (plan(remat=k).predicted_bytes for k in (1, 2, 3))
    assert one > two > three
    for budget, levels in [(one, 1), (one - 1, 2), (two, 2), (two - 1, 3), (three, 3)]:
        chosen = plan(budget=budget)
        assert (chosen.remat, chosen.predicted_bytes <= budget) == (levels, True)
    with pytest.raises(InputError, match="too small: 1000 steps of a state of 804"):
        plan(budget=10_000)
    assert plan().remat == 1


@pytest.mark.full
def test_unroll_does_what_the_plan_says():
    budget = 2_900_000
    assert planned(64, 1000, budget=budget).remat == 3
    with jax.enable_x64(False):
        gradient = jax.value_and_grad(unrolled.outer(1000, budget=budget), (0, 1))
        found = unrolled.temporary_bytes(gradient, RATE, *shapes(64))
    assert found == measured(64, 1000, 3)


def test_without_measuring_where_the_choice_is_clear(monkeypatch):
    def refuse(program):
        raise AssertionError("compiled")

    monkeypatch.setattr("jaxopt_lab.bilevel.plan.workspace_bytes", refuse)
    step = lambda w, t: w * jnp.cos(w)
    unroll(step, jnp.ones(100), 30)
    unroll(step, jnp.ones(100), 30, budget=10**6)
    with pytest.raises(AssertionError, match="compiled"):
        unroll(step, jnp.ones(100), 30, budget=30 * 804 + 1000)


def test_batches_are_not_stored_by_the_levels():
    """Batches as large as the state, sliced: only carries are kept."""
    n, size = 64, 10_000

    def value(rate, w, xs):
        step = lambda w, x: w - rate * jnp.sin(w * x)
        return jnp.sum(unroll(step, w, xs, remat=2))

    with jax.enable_x64(False):
        like = lambda *shape: jax.ShapeDtypeStruct(shape, jnp.float32)
        found = unrolled.temporary_bytes(
            jax.grad(value), like(), like(size), like(n, size)
        )
    assert found <= 4 * size * (8 + 8 + 6)


@pytest.mark.full
def test_windows_store_their_own_carries():
    """Of a train step whose losses count: a carry for each border besides."""
    params, batch = shapes(64)
    tx = optax.adam(1e-3)
    loss = lambda params, state, batch, key: (
        unrolled.loss_fn(params, batch),
        (state, {}),
    )
    step = make_train_step(loss, tx)

    def total(params, batch, truncate):
        state = init_state(tx, params, jax.random.key(0))
        at = lambda t: batch
        options = {"batch_at": at, "remat": "sqrt", "truncate": truncate}
        _, metrics = unroll(step, state, 400, **options)
        return jnp.sum(metrics["loss"])

    with jax.enable_x64(False):
        cut, whole = (
            unrolled.temporary_bytes(
                jax.grad(lambda *args, k=k: total(*args, k)), params, batch
            )
            for k in (100, None)
        )
        state = jax.eval_shape(lambda p: init_state(tx, p, jax.random.key(0)), params)
        plan = plan_unroll(
            step,
            state,
            400,
            batch_at=lambda t: jax.tree.map(
                lambda x: jnp.zeros(x.shape, x.dtype), batch
            ),
            remat="sqrt",
            truncate=100,
        )
    assert plan.carries == 20 + 3
    # Not all of them are alive at once: here the plan is an upper bound.
    assert 0.8 * plan.predicted_bytes <= cut <= plan.predicted_bytes
    assert cut < whole
