"""AdamW as a rule for single elements: the arithmetic under the compressed states."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core import moments
from jaxopt_lab.core.checks import increment, value_at
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.explicit_axes import reshard_here
from jaxopt_lab.core.per_leaf import columns
from jaxopt_lab.core.typing import Params, ScalarOrSchedule, Updates


class AdamWState(NamedTuple):
    """State of ``adamw_elements``.

    Attributes:
      count: int32, number of updates so far.
      mu: mean of the gradients, a tree like the parameters; float32, for float64
        parameters float64. 4 bytes per parameter.
      nu: mean of their squares, likewise.
    """

    count: jax.Array
    mu: Updates
    nu: Updates


def adamw_elements(
    learning_rate: ScalarOrSchedule,
    b1: ScalarOrSchedule,
    b2: ScalarOrSchedule,
    eps: ScalarOrSchedule,
    weight_decay: ScalarOrSchedule,
    *,
    decays: bool | jax.Array = True,
) -> optax.GradientTransformationExtraArgs:
    """All of AdamW in one transformation, for trees of parameters or parts of leaves.

    Every number may be a schedule of the number of updates. The root of the second
    moment has the derivative 0 at 0, so derivatives of whole runs are finite.

    Args:
      learning_rate: step size.
      b1: decay of the mean of the gradients.
      b2: decay of the mean of their squares.
      eps: added to the root of the second moment, after the bias correction.
      weight_decay: decoupled decay, times the step size.
      decays: whether these parameters decay, possibly traced.

    Returns:
      The transformation; what ``optax.adamw`` gives, up to rounding.
    """

    def init(params: Params) -> Any:
        return AdamWState(
            jnp.zeros((), jnp.int32),
            jax.tree.map(moments.zeros, params),
            jax.tree.map(moments.zeros_of_squares, params),
        )

    def update(
        updates: Updates, state: Any, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, Any]:
        del extra
        if params is None:
            raise InputError("update needs params: the weight decay acts on them")
        count = increment(state.count)
        numbers = (learning_rate, b1, b2, eps, weight_decay)
        rate, keep1, keep2, small, decay = (
            reshard_here(value_at(x, state.count)) for x in numbers
        )

        def step(g: jax.Array, m: jax.Array, v: jax.Array, p: jax.Array) -> Any:
            direction, m, v = moments.adam_step(g, m, v, count, keep1, keep2, small)
            dtype = m.dtype
            scale = -jnp.asarray(rate, dtype)
            pull = (
                scale
                * jnp.asarray(decay, dtype)
                * jnp.asarray(reshard_here(decays), dtype)
            )
            moved = (scale * direction + pull * p.astype(dtype)).astype(p.dtype)
            return moved, m, v

        grads, structure = jax.tree.flatten(updates)
        others = map(jax.tree.leaves, (state.mu, state.nu, params))
        rows = [step(*row) for row in zip(grads, *others, strict=True)]
        steps, mu, nu = columns(structure, rows, 3)
        return steps, AdamWState(count, mu, nu)

    return optax.GradientTransformationExtraArgs(init, update)
