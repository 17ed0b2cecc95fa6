"""The momentum of gradient descent beside those of the steepest steps so far."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core import moments
from jaxopt_lab.core.checks import check_unit, increment, value_at
from jaxopt_lab.core.typing import Params, ScalarOrSchedule, Updates
from jaxopt_lab.transforms.memory.buffer import PriorityBuffer
from jaxopt_lab.transforms.memory.settings import Memory


class CriticalTraceState(NamedTuple):
    """State of ``critical_trace``: 4 (C + 2) + 4 bytes per float32 parameter.

    Attributes:
      count: int32 scalar, number of updates so far; the argument of schedules.
      trace: like the parameters, float32 or better, the momentum.
      buffer: the critical momenta; ``None`` at capacity 0.
    """

    count: jax.Array
    trace: Updates
    buffer: PriorityBuffer | None


def critical_trace(
    memory: Memory, momentum: ScalarOrSchedule
) -> optax.GradientTransformationExtraArgs:
    """``m <- momentum * m + g``, and m beside the mean of the buffer.

    Args:
      memory: the buffer's options.
      momentum: weight of the past, in [0, 1].

    Returns:
      A link.
    """
    check_unit("momentum", momentum)

    def init_fn(params: Params) -> Any:
        return CriticalTraceState(
            count=jnp.zeros((), jnp.int32),
            trace=jax.tree.map(moments.zeros, params),
            buffer=memory.start(params),
        )

    def update_fn(
        updates: Updates, state: Any, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, Any]:
        del params, extra
        keep = value_at(momentum, state.count)
        trace = jax.tree.map(
            lambda m, g: jnp.asarray(keep, m.dtype) * m + g.astype(m.dtype),
            state.trace,
            updates,
        )
        mixed = memory.mixed(state.buffer, trace, state.count)
        moves = jax.tree.map(lambda g, a: a.astype(g.dtype), updates, mixed)
        buffer = memory.stored(state.buffer, trace, updates, state.count)
        count = increment(state.count)
        return moves, CriticalTraceState(count, trace, buffer)

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)
