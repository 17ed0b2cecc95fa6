"""Faults in composition, derivatives, costs and results."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from battery.transform.faults_support import (
    LINK,
    WRAPPER,
    at,
    plant,
    sound,
    sound_init,
    sound_update,
    with_gradient,
    with_updates,
)
from jaxopt_lab.core import placement, trees
from jaxopt_lab.core.typing import ScalarOrSchedule
from jaxopt_lab.transforms import sharpness


def strict_signature(learning_rate: ScalarOrSchedule = 0.05, momentum: float = 0.9):
    def update(
        updates,
        state,
        params=None,
        *,
        grad_fn=None,
        grad=None,
        value=None,
        value_fn=None,
        fused_apply=None,
    ):
        return sound_update(learning_rate, momentum, updates, state)

    return optax.GradientTransformationExtraArgs(sound_init, update)


plant("refuses unknown extras", "extras", "never_heard_of", strict_signature)


def keeps_extras(base: Any, scale: ScalarOrSchedule = 1.0):
    inner = optax.with_extra_args_support(base)

    def update(updates, state, params=None, **extra):
        return inner.update(jax.tree.map(lambda u: scale * u, updates), state, params)

    return optax.GradientTransformationExtraArgs(inner.init, update)


plant(
    "keeps extras from its base", "extras", r"\[set\(\)\]", keeps_extras, base=WRAPPER
)


def evaluates_once(learning_rate: ScalarOrSchedule = 0.05, momentum: float = 0.9):
    return sound(at(learning_rate, jnp.zeros((), jnp.int32)), momentum)


plant("a schedule asked for its start only", "schedules", "nothing", evaluates_once)


def goes_its_own_way(learning_rate: ScalarOrSchedule = 0.05, momentum: float = 0.9):
    def update(updates, state, params=None, *, grad_fn, **extra):
        return sound_update(learning_rate, momentum, grad_fn(params), state)

    return optax.GradientTransformationExtraArgs(sound_init, update)


plant(
    "takes its gradient past the chain",
    "chained",
    "in front",
    goes_its_own_way,
    also={"multi_steps"},
    temp_bytes="5",
)


def _is_hole(x):
    return isinstance(x, optax.MaskedNode)


plant(
    "takes a hole for a leaf",
    "groups",
    "multiply sequence",
    with_gradient(
        lambda g, state, params: jax.tree.map(lambda x: 1.0 * x, g, is_leaf=_is_hole)
    ),
)


def positional_params(learning_rate: ScalarOrSchedule = 0.05, momentum: float = 0.9):
    def update(updates, state, params=None, /, **extra):
        if params is None:
            raise ValueError("params, please")
        return sound_update(learning_rate, momentum, updates, state)

    return optax.GradientTransformationExtraArgs(sound_init, update)


plant("params by position only", "multi_steps", "please", positional_params)


def hides_its_arguments(**options: float):
    return sound(**options)


plant("a factory that hides its arguments", "inject", "", hides_its_arguments)

plant(
    "float32 updates of float64 parameters",
    "apply_if_finite",
    "float32",
    with_updates(lambda x: x.astype(jnp.float32) if x.dtype == jnp.float64 else x),
    also={"dtypes", "finite_differences"},
)


def at_least_a_little(rho: ScalarOrSchedule = 0.05):
    def floor(count):
        return jnp.maximum(at(rho, count), 1e-3)

    return sharpness.sam(floor)


plant("a radius that is never zero", "neutral", "differ", at_least_a_little, base=LINK)


def ascends_alone(rho: ScalarOrSchedule = 0.05):
    link = sharpness.sam(rho)

    def update(updates, state, params=None, *, grad_fn=None, **extra):
        return link.update(
            updates, state, params, grad_fn=lambda p, i=0: grad_fn.shard(1)(p, 0)
        )

    return optax.GradientTransformationExtraArgs(link.init, update)


plant(
    "each device keeps its own second gradient",
    "parallel",
    "not approximately equal",
    ascends_alone,
    base=LINK,
    needs=LINK.needs | {"shards"},
)


def forgets_one(rho: ScalarOrSchedule = 0.05):
    link = sharpness.sam(rho)

    def update(updates, state, params=None, *, grad_fn=None, **extra):
        grad_fn(jax.tree.map(lambda p: 2.0 * p, params))
        return link.update(updates, state, params, grad_fn=grad_fn)

    return optax.GradientTransformationExtraArgs(link.init, update)


plant("a gradient that nobody uses", "gradients", "3", forgets_one, base=LINK)


def linearised(rho: ScalarOrSchedule = 0.05):
    def update(updates, state, params=None, *, grad_fn=None, **extra):
        placement.refuse_accumulation("linearised")
        radius = at(rho, state.count)
        norm = trees.global_norm(updates)
        scale = trees.safe_divide(jnp.ones((), norm.dtype), norm)

        def ascent(g):
            return (radius * scale * g).astype(g.dtype)

        gradient, change = jax.jvp(
            lambda p: grad_fn(jax.tree.map(lambda x: x + 0, p)),
            (params,),
            (jax.tree.map(ascent, updates),),
        )
        sharp = jax.tree.map(jnp.add, gradient, change)
        return sharp, sharpness.SamState(state.count + 1)

    link = sharpness.sam(0.05)
    return optax.GradientTransformationExtraArgs(link.init, update)


plant(
    "a Hessian product for a gradient",
    "flops",
    "times",
    linearised,
    base=LINK,
    temp_bytes="8",
)

plant("state bytes left out", "state_bytes", "documented 0", sound, state_bytes="0")


def _by_sorted(x):
    return x * (1 + 1e-3 * jnp.max(jnp.sort(jnp.abs(x), axis=-1))) if x.size else x


def sorts(learning_rate: ScalarOrSchedule = 0.05, momentum: float = 0.9):
    change = lambda g, state, params: jax.tree.map(
        lambda x: _by_sorted(x) if x.ndim > 1 else x, g
    )
    return with_gradient(change)(learning_rate, momentum)


plant("temporaries left out", "temp_bytes", "documented 0", sorts)


def _sum_of_squares(tree):
    return sum(jnp.sum(x * x) for x in jax.tree.leaves(tree))


def _clip_by_bare_norm(g, state, params):
    norm = jnp.sqrt(_sum_of_squares(g))
    return jax.tree.map(lambda x: x / jnp.maximum(1, norm), g)


plant(
    "a norm without derivative at zero",
    "finite_at_zero_gradients",
    "nan",
    with_gradient(_clip_by_bare_norm),
)


def _clip_each_leaf(g, state, params):
    nothing = _sum_of_squares(g) == 0

    def one(x):
        square = jnp.where(nothing, 1, jnp.sum(x * x))
        return x / jnp.maximum(1, jnp.sqrt(square))

    return jax.tree.map(one, g)


plant(
    "norms of single leaves without derivative at zero",
    "finite_at_a_product",
    "nan",
    with_gradient(_clip_each_leaf),
    also={"finite_at_zero_parameters"},
)


def _trust_parameters(g, state, params):
    norm = jnp.sqrt(_sum_of_squares(params))
    return jax.tree.map(lambda x: x * jnp.minimum(1 + norm, 2), g)


plant(
    "the parameters' norm without derivative at zero",
    "finite_at_zero_parameters",
    "nan",
    with_gradient(_trust_parameters),
)

plant(
    "a derivative that is cut",
    "finite_differences",
    "central difference",
    with_gradient(lambda g, state, params: jax.lax.stop_gradient(g)),
)

plant(
    "zeros in place of what is no number",
    "nan_gradient",
    "no number|silently",
    with_updates(jnp.nan_to_num),
)

plant("uphill", "converges", "falls to", with_updates(jnp.negative))
