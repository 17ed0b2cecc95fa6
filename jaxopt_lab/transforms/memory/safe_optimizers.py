"""The optimizers behind the aggregated gradient: momentum, RMSprop, Adam.

optax has links of the same names, but their derivatives are not finite at zero
gradients, its RMSprop adds eps inside of the root, and its AMSGrad takes the maximum
of the corrected moments; the recorded trajectories want it otherwise.
"""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core import moments
from jaxopt_lab.core.checks import increment, value_at
from jaxopt_lab.core.options import DECAY, NON_NEGATIVE, UNIT, check_arguments
from jaxopt_lab.core.typing import Params, Scalar, ScalarOrSchedule, Updates


class MomentumState(NamedTuple):
    """State of ``scale_by_momentum``: 4 bytes per float32 parameter.

    Attributes:
      count: int32 scalar, number of updates so far.
      trace: like the parameters, float32 or better.
    """

    count: jax.Array
    trace: Updates


def scale_by_momentum(
    momentum: Annotated[ScalarOrSchedule, UNIT],
    dampening: Annotated[ScalarOrSchedule, UNIT] = 0.0,
) -> optax.GradientTransformationExtraArgs:
    """``t <- momentum * t + (1 - dampening) * g``, and ``t = g`` at first.

    Args:
      momentum: weight of the past, in [0, 1].
      dampening: what is taken off the gradient, in [0, 1], from the second step on.

    Returns:
      A link.
    """
    check_arguments(scale_by_momentum, locals())

    def init_fn(params: Params) -> Any:
        return MomentumState(
            jnp.zeros((), jnp.int32), jax.tree.map(moments.zeros, params)
        )

    def update_fn(
        updates: Updates, state: Any, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, Any]:
        del params, extra
        keep = value_at(momentum, state.count)
        lost = value_at(dampening, state.count)

        def one(t: jax.Array, g: jax.Array) -> jax.Array:
            lose = jnp.where(state.count == 0, 0, jnp.asarray(lost, t.dtype))
            return jnp.asarray(keep, t.dtype) * t + (1 - lose) * g.astype(t.dtype)

        trace = jax.tree.map(one, state.trace, updates)
        moves = jax.tree.map(lambda g, t: t.astype(g.dtype), updates, trace)
        count = increment(state.count)
        return moves, MomentumState(count, trace)

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)


class RmsState(NamedTuple):
    """State of ``scale_by_rms``: 4 bytes per float32 parameter, 8 if centered.

    Attributes:
      count: int32 scalar, number of updates so far.
      nu: like the parameters, float32 or better, average of the squares.
      mu: average of the gradients, if centered; else ``None``.
    """

    count: jax.Array
    nu: Updates
    mu: Updates | None


def scale_by_rms(
    decay_rate: Annotated[ScalarOrSchedule, UNIT],
    eps: Annotated[ScalarOrSchedule, NON_NEGATIVE],
    *,
    centered: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """``g / (sqrt(v) + eps)``, v the average of the squares or the variance.

    Args:
      decay_rate: weight of the past in the averages, in [0, 1].
      eps: added to the root.
      centered: take the square of the average gradient off v.

    Returns:
      A link.
    """
    check_arguments(scale_by_rms, locals())

    def init_fn(params: Params) -> Any:
        nu = jax.tree.map(moments.zeros_of_squares, params)
        mu = jax.tree.map(moments.zeros, params) if centered else None
        return RmsState(jnp.zeros((), jnp.int32), nu, mu)

    def update_fn(
        updates: Updates, state: Any, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, Any]:
        del params, extra
        keep = value_at(decay_rate, state.count)
        floor = value_at(eps, state.count)
        nu = jax.tree.map(
            lambda v, g: moments.average_of_squares(v, g, keep), state.nu, updates
        )

        def direction(g: jax.Array, v: jax.Array, *m: jax.Array) -> jax.Array:
            wide = g.astype(moments.moment_dtype(g.dtype))
            return moments.rms_direction(wide, v, floor, *m).astype(g.dtype)

        mu = None
        if centered:
            mu = jax.tree.map(
                lambda m, g: moments.average(m, g, keep), state.mu, updates
            )
            moves = jax.tree.map(direction, updates, nu, mu)
        else:
            moves = jax.tree.map(direction, updates, nu)
        count = increment(state.count)
        return moves, RmsState(count, nu, mu)

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)


class AdamState(NamedTuple):
    """State of ``scale_by_adam``: 8 bytes per float32 parameter, 12 with AMSGrad.

    Attributes:
      count: int32 scalar, number of updates so far.
      mu: like the parameters, float32 or better, average of the gradients.
      nu: average of their squares.
      nu_max: largest ``nu`` so far, with AMSGrad; else ``None``.
    """

    count: jax.Array
    mu: Updates
    nu: Updates
    nu_max: Updates | None


def scale_by_adam(
    b1: Annotated[ScalarOrSchedule, DECAY],
    b2: Annotated[ScalarOrSchedule, DECAY],
    eps: Annotated[ScalarOrSchedule, NON_NEGATIVE],
    *,
    amsgrad: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """Adam's direction, with derivatives that are finite at zero gradients.

    Args:
      b1: decay of the first moment, in [0, 1).
      b2: decay of the second moment, in [0, 1).
      eps: added to the root.
      amsgrad: divide by the root of the largest second moment so far, which is
        corrected after the maximum is taken.

    Returns:
      A link.
    """
    check_arguments(scale_by_adam, locals())

    def init_fn(params: Params) -> Any:
        squares = lambda: jax.tree.map(moments.zeros_of_squares, params)
        mu = jax.tree.map(moments.zeros, params)
        count = jnp.zeros((), jnp.int32)
        return AdamState(count, mu, squares(), squares() if amsgrad else None)

    def update_fn(
        updates: Updates, state: Any, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, Any]:
        del params, extra
        now = [value_at(value, state.count) for value in (b1, b2, eps)]
        count = increment(state.count)
        mu = jax.tree.map(lambda m, g: moments.average(m, g, now[0]), state.mu, updates)
        moves, nu, nu_max = adam_step(
            updates, mu, updates, state.nu, state.nu_max, count, *now
        )
        return moves, AdamState(count, mu, nu, nu_max)

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)


def adam_step(
    updates: Updates,
    mean: Updates,
    squared: Updates,
    nu: Updates,
    nu_max: Updates | None,
    count: jax.Array,
    b1: Scalar,
    b2: Scalar,
    eps: Scalar,
) -> tuple[Updates, Updates, Updates | None]:
    """The second half of a step of Adam.

    Args:
      updates: the gradients, whose types the directions get.
      mean: what stands above the root, corrected here.
      squared: whose squares are averaged.
      nu: the second moments before the step.
      nu_max: the largest before the step; ``None`` without AMSGrad.
      count: number of the step, from 1.
      b1: decay that the bias of ``mean`` is corrected for.
      b2: decay of the second moments.
      eps: added to the root.

    Returns:
      ``(directions, nu, nu_max)``.
    """
    nu = jax.tree.map(lambda v, a: moments.average_of_squares(v, a, b2), nu, squared)
    if nu_max is not None:
        nu_max = jax.tree.map(jnp.maximum, nu_max, nu)

    def direction(g: jax.Array, m: jax.Array, v: jax.Array) -> jax.Array:
        return moments.corrected_direction(m, v, count, b1, b2, eps).astype(g.dtype)

    roots = nu if nu_max is None else nu_max
    return jax.tree.map(direction, updates, mean, roots), nu, nu_max
