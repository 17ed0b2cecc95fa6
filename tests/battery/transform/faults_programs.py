"""Faults in how an update runs, and in what its state is."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

from battery.transform.faults_support import (
    plant,
    sound,
    sound_init,
    sound_update,
    starting_with,
    with_gradient,
    with_updates,
)
from jaxopt_lab.core.typing import ScalarOrSchedule

plant(
    "works on jax arrays only",
    "jit",
    "no attribute 'at'",
    with_gradient(
        lambda g, state, params: jax.tree.map(lambda x: x.at[...].multiply(1.0), g)
    ),
)


def _other_when_traced(x):
    return 0.5 * x if isinstance(x, jax.core.Tracer) else x


plant(
    "another step when traced",
    "jit",
    "not approximately equal",
    with_updates(_other_when_traced),
    also={
        "scan",
        "vmap_seeds",
        "vmap_hyper",
        "donation",
        "parallel",
        "multi_steps",
        "apply_if_finite",
        "float32",
        "inject",
        "schedules",
    },
)

# The type of the carry shows wherever an update is traced with an old state.
_TYPE_OF_STATE = {
    "scan",
    "recompilation",
    "donation",
    "apply_if_finite",
    "checkpoint",
    "converges",
    "strict_promotion",
}


def _narrow(p):
    wide = p.dtype == jnp.float64
    return jnp.zeros_like(p, jnp.float32 if wide else p.dtype)


plant(
    "a momentum that is float32 at first",
    "scan",
    "carry",
    starting_with(_narrow),
    also=_TYPE_OF_STATE - {"scan"},
)


@jax.custom_batching.custom_vmap
def _zero(p):
    return 0 * p


@_zero.def_vmap
def _wrong_rule_of_zero(size, batched, p):
    return jnp.ones_like(p), batched[0]


plant(
    "a wrong batching rule in init",
    "vmap_seeds",
    "not approximately equal",
    starting_with(lambda p: _zero(jax.lax.stop_gradient(p))),
)


def branches_on_momentum(learning_rate: ScalarOrSchedule = 0.05, momentum: float = 0.9):
    return sound(learning_rate, momentum if momentum > 0 else 0.0)


plant(
    "a Python branch on a hyper-parameter",
    "vmap_hyper",
    "TracerBoolConversionError",
    branches_on_momentum,
    also={
        "inject",
        "finite_at_zero_gradients",
        "finite_at_a_product",
        "finite_at_zero_parameters",
        "finite_differences",
    },
)


def weakly_typed(learning_rate: ScalarOrSchedule = 0.05, momentum: float = 0.9):
    def init(params):
        return sound_init(params), jnp.asarray(0.0)

    def update(updates, state, params=None, **extra):
        steps, inner = sound_update(learning_rate, momentum, updates, state[0])
        return steps, (inner, state[1] + jnp.ones((), state[1].dtype))

    return optax.GradientTransformationExtraArgs(init, update)


plant("a state of weak type", "recompilation", "traced", weakly_typed)

plant(
    "a state without the parameters' sharding type",
    "state_types",
    "-> .*'x'",
    starting_with(lambda p: jnp.zeros(p.shape, p.dtype)),
)


def count_becomes_float(learning_rate: ScalarOrSchedule = 0.05, momentum: float = 0.9):
    def update(updates, state, params=None, **extra):
        steps, state = sound_update(learning_rate, momentum, updates, state)
        return steps, state._replace(count=state.count + 0.0)

    return optax.GradientTransformationExtraArgs(sound_init, update)


plant(
    "a count that becomes a float",
    "state_types",
    "int32",
    count_becomes_float,
    also=_TYPE_OF_STATE,
)


def anchored(learning_rate: ScalarOrSchedule = 0.05, momentum: float = 0.9):
    def init(params):
        return sound_init(params), params

    def update(updates, state, params=None, **extra):
        steps, inner = sound_update(learning_rate, momentum, updates, state[0])
        mean = jax.tree.map(lambda a, p: 0.9 * a + 0.1 * p, state[1], params)
        return steps, (inner, mean)

    return optax.GradientTransformationExtraArgs(init, update)


plant(
    "a state that is the parameters' own buffers",
    "donation",
    "donate.*twice|deleted",
    anchored,
    state_bytes="8",
    temp_bytes="4",
)


def flattened_list(learning_rate: ScalarOrSchedule = 0.05, momentum: float = 0.9):
    def init(params):
        return sound_init([jnp.zeros_like(p) for p in jax.tree.leaves(params)])

    def update(updates, state, params=None, **extra):
        leaves, structure = jax.tree.flatten(updates)
        steps, state = sound_update(learning_rate, momentum, leaves, state)
        return jax.tree.unflatten(structure, steps), state

    return optax.GradientTransformationExtraArgs(init, update)


plant("a momentum kept as a list of leaves", "map_params", "list", flattened_list)


def one_vector(learning_rate: ScalarOrSchedule = 0.05, momentum: float = 0.9):
    def padded(tree):
        flat, unravel = jax.flatten_util.ravel_pytree(tree)
        return jnp.concatenate([flat, jnp.zeros(1, flat.dtype)]), unravel

    def update(updates, state, params=None, **extra):
        flat, unravel = padded(updates)
        steps, state = sound_update(learning_rate, momentum, flat, state)
        return unravel(steps[:-1]), state

    return optax.GradientTransformationExtraArgs(
        lambda params: sound_init(padded(params)[0]), update
    )


plant(
    "one padded vector for the momentum",
    "sharded",
    "bytes of state",
    one_vector,
    also={"state_types"},
)
