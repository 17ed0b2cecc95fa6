"""The average of the weights beside a train step."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from support import tiny_run

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.training import weight_average
from jaxopt_lab.training.weight_average import extend, plain, with_average


def test_it_is_the_sum_and_training_stays_as_it_was():
    step, state, batches, _ = tiny_run.parts()
    together = jax.jit(with_average(step, 0.6))
    alone, both = jax.jit(step), extend(state)
    wanted = jax.tree.map(np.asarray, (state.params, state.model_state))
    for t in range(1, 7):
        batch = batches.next()
        state, metrics = alone(state, batch)
        both, same = together(both, batch)
        d = np.minimum(np.float32(0.6), np.float32((1 + t) / (10 + t)))
        new = (state.params, state.model_state)
        wanted = jax.tree.map(lambda a, w, d=d: d * a + (1 - d) * w, wanted, new)
    assert tiny_run.bits(plain(both)) == tiny_run.bits(state)
    assert tiny_run.bits(metrics) == tiny_run.bits(same)
    found = both.opt_state.params, both.opt_state.model_state
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), found, wanted
    )


def one_step(value, average, count=8, decay=0.9, **metrics):
    """A step to a value, from an average."""
    state = weight_average.TrainState(
        jnp.int32(count), average, {}, optax.EmptyState(), jax.random.key(0)
    )

    def step(state, batch):
        return state._replace(step=state.step + 1, params=value), metrics

    return with_average(step, decay)(extend(state), None)[0].opt_state.params


def test_types_and_skipped_steps():
    kinds = [jnp.bfloat16, jnp.float32, jnp.float64, jnp.complex64]
    for kind in kinds:
        found = one_step(jnp.ones(2, kind), jnp.zeros(2, kind))
        assert found.dtype == kind
        np.testing.assert_allclose(found, 1 - 10 / 19, rtol=4e-3)
    assert one_step(jnp.int32(3), jnp.int32(1)) == 3
    assert one_step(jnp.float32(3), jnp.float32(1), decay=0.0) == 3
    kept = one_step(jnp.float32(3), jnp.float32(1), skipped=jnp.float32(1))
    assert kept == 1
    with pytest.raises(InputError, match="decay=1.0 is out of range"):
        with_average(lambda state, batch: (state, {}), 1.0)
