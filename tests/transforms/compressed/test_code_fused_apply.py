"""The same trajectory through the fused apply of the train step and through optax."""

import functools

import chex
import jax
import jax.numpy as jnp
import optax
import pytest
from support.fused_apply import START, by_protocol, three_steps

import jaxopt_lab
from jaxopt_lab.training.fused_apply import FusedApplyRecorder


def small(name, rate=1e-2, **options):
    return getattr(jaxopt_lab, name)(rate, min_size=1, chunk=512, **options)


class Closed:
    """A fused apply that records nothing."""

    def record(self, *offered):
        del offered


CHAINS = {
    "bare": lambda tx: tx(),
    "sam": lambda tx: optax.chain(jaxopt_lab.sam(0.05), tx()),
    "clipped": lambda tx: optax.chain(optax.clip_by_global_norm(0.1), tx()),
    "injected": lambda tx: jaxopt_lab.inject_hyperparams(
        lambda learning_rate: tx(learning_rate)
    )(learning_rate=1e-2),
    "scheduled": lambda tx: tx(lambda t: 1e-2 / (t + 1)),
    "partition": lambda tx: jaxopt_lab.partition(
        {"coded": tx(), "plain": optax.sgd(0.1)}, {"w": "coded", "b": "plain"}
    ),
    "scaled after": lambda tx: optax.chain(tx(), optax.scale(0.5)),
    "apply_if_finite": lambda tx: optax.apply_if_finite(tx(), 3),
}


@pytest.mark.full(plain=["partition-adamw8bit"])
@pytest.mark.parametrize("name", ["adamw8bit", "adamw4bit"])
@pytest.mark.parametrize("chain", CHAINS)
def test_same_trajectory(chain, name):
    tx = CHAINS[chain](functools.partial(small, name))
    through, around = three_steps(tx), three_steps(by_protocol(tx))
    # A multiplication may be fused with the addition of the update or not, and a
    # code on the edge between two fall to either side.
    chex.assert_trees_all_close(through, around, rtol=1e-5, atol=2e-6)
    assert float(jnp.max(jnp.abs(through["w"] - START["w"]))) > 1e-4


@pytest.mark.full
def test_what_is_offered_is_the_sum():
    tx = small("adamw8bit", weight_decay=0.1)
    recorder, grads = FusedApplyRecorder(), jax.tree.map(jnp.sin, START)
    updates, _ = tx.update(grads, tx.init(START), START, fused_apply=recorder)
    wanted = optax.apply_updates(START, updates)
    chex.assert_trees_all_close(recorder.apply(START, updates), wanted, rtol=1e-6)


def temporaries(fused, size=(2048, 512)):
    """Bytes per parameter of temporaries of one donated step of a large tensor."""
    tx = jaxopt_lab.adamw8bit(1e-3)

    def step(params, state, grads):
        recorder = FusedApplyRecorder() if fused else Closed()
        updates, state = tx.update(grads, state, params, fused_apply=recorder)
        if fused:
            return recorder.apply(params, updates), state
        return optax.apply_updates(params, updates), state

    shape = jax.ShapeDtypeStruct(size, jnp.float32)
    state = jax.eval_shape(tx.init, shape)
    fn = jax.jit(step, donate_argnums=(0, 1))
    compiled = fn.lower(shape, state, shape).compile()
    count = size[0] * size[1]
    return compiled.memory_analysis().temp_size_in_bytes / count, compiled.as_text()


def test_no_tensor_of_updates_and_no_copy_of_any_through_the_fused_apply():
    temp, text = temporaries(True)
    # Eight chunk-sized arrays, of 1/16 of this tensor each, at most.
    assert temp < 2.0, temp
    whole = [
        line for line in text.splitlines() if " copy(" in line and "1048576" in line
    ]
    assert not whole, whole


@pytest.mark.full
@pytest.mark.parametrize("chunk", [512, None])
def test_skipped_and_accumulated_steps_leave_the_codes_alone(chunk):
    tx = jaxopt_lab.adamw8bit(1e-2, min_size=1, chunk=chunk)
    grads = jax.tree.map(jnp.sin, START)
    several = optax.MultiSteps(tx, 2)
    state = several.init(START)
    update = jax.jit(several.update)
    _, once = update(grads, state, START)
    chex.assert_trees_all_equal(once.inner_opt_state, state.inner_opt_state)
    updates, twice = update(grads, once, START)
    wanted, inner = jax.jit(tx.update)(grads, tx.init(START), START)
    chex.assert_trees_all_close(updates, wanted, rtol=1e-5, atol=1e-8)
    assert int(twice.inner_opt_state.inner.count) == int(inner.inner.count) == 1
