"""Faults in types, shapes and containers, of the state and of the updates."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax

from battery.transform.faults_support import (
    plant,
    sound_init,
    sound_update,
    starting_with,
    with_gradient,
    with_init,
    with_updates,
)
from jaxopt_lab.core.typing import ScalarOrSchedule


def decides_by_value(learning_rate: ScalarOrSchedule = 0.05, momentum: float = 0.9):
    def init(params):
        start = sum(float(jnp.sum(p * 0)) for p in jax.tree.leaves(params))
        state = sound_init(params)
        return state._replace(count=state.count + int(start))

    return with_init(init)(learning_rate, momentum)


plant(
    "an init that looks at values",
    "abstract_init",
    "Concretization",
    decides_by_value,
    also={  # whatever traces init
        "vmap_seeds",
        "dtypes",
        "state_types",
        "state_bytes",
        "sharded",
        "checkpoint",
        "converges",
        "strict_promotion",
        "finite_at_zero_gradients",
        "finite_at_a_product",
        "finite_at_zero_parameters",
        "finite_differences",
        "apply_if_finite",
        "chained",
        "extras",
        "float32",
        "flops",
        "gradients",
        "groups",
        "inject",
        "map_params",
        "multi_steps",
        "none_leaves",
        "parallel",
        "scan",
        "schedules",
        "temp_bytes",
        "tree_shapes",
        "vmap_hyper",
    },
)

plant(
    "an init that is wider on arrays than on shapes",
    "abstract_init",
    "float64",
    starting_with(
        lambda p: jnp.zeros_like(
            p, p.dtype if isinstance(p, jax.core.Tracer) else float
        )
    ),
)


def two_containers(learning_rate: ScalarOrSchedule = 0.05, momentum: float = 0.9):
    def init(params):
        leaves = jax.tree.leaves(params)
        shapes = leaves and isinstance(leaves[0], jax.core.Tracer)
        return [sound_init(params)] if shapes else (sound_init(params),)

    def update(updates, state, params=None, **extra):
        steps, inner = sound_update(learning_rate, momentum, updates, state[0])
        return steps, type(state)([inner])

    return optax.GradientTransformationExtraArgs(init, update)


plant(
    "a list on shapes and a tuple on arrays",
    "checkpoint",
    "structs",
    two_containers,
    also={
        "abstract_init",
        "apply_if_finite",
        "map_params",
        "parallel",
        "scan",
        "vmap_hyper",
        "vmap_seeds",
    },
)


def rounds_bfloat16(x):
    return x.astype(jnp.float32) if x.dtype == jnp.bfloat16 else x


plant(
    "updates of another type",
    "dtypes",
    "bfloat16 became",
    with_updates(rounds_bfloat16),
)


def _coarse(x):
    return x.astype(jnp.bfloat16).astype(x.dtype) if x.dtype == np.float32 else x


plant(
    "a detour through bfloat16",
    "float32",
    "not approximately equal",
    with_updates(_coarse),
)

plant(
    "an integer times a float",
    "strict_promotion",
    "strict|promotion",
    with_gradient(
        lambda g, state, params: jax.tree.map(lambda x: x + 0 * state.count * x, g)
    ),
)

plant(
    "looks at the first leaf",
    "tree_shapes",
    "index out of range",
    with_gradient(lambda g, state, params: (jax.tree.leaves(g)[0], g)[1]),
)

plant(
    "takes None for a leaf",
    "none_leaves",
    "NoneType",
    with_gradient(
        lambda g, state, params: jax.tree.map(
            lambda x: 1.0 * x, g, is_leaf=lambda x: x is None
        )
    ),
)
