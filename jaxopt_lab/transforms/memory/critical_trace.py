"""The momentum of gradient descent beside those of the steepest steps so far."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core import moments, trees
from jaxopt_lab.core.checks import increment, value_at
from jaxopt_lab.core.finish import decayed_weights, step_size
from jaxopt_lab.core.options import NON_NEGATIVE, UNIT, check_arguments, takes
from jaxopt_lab.core.typing import MaskOrFn, Params, ScalarOrSchedule, Updates
from jaxopt_lab.transforms.memory.buffer import PriorityBuffer
from jaxopt_lab.transforms.memory.options import BufferOptions
from jaxopt_lab.transforms.memory.safe_optimizers import scale_by_rms


class CriticalTraceState(NamedTuple):
    """State of ``critical_trace``: 4 (C + 1) + 4 bytes per float32 parameter.

    ``trace`` is offered to the buffer at the end of a step and stored at the beginning
    of the next.

    Attributes:
      count: int32 scalar, number of updates so far; the argument of schedules.
      trace: like the parameters, float32 or better, the momentum.
      buffer: the critical momenta before the last; ``None`` at capacity 0.
    """

    count: jax.Array
    trace: Updates
    buffer: PriorityBuffer | None


def critical_trace(
    memory: BufferOptions, momentum: Annotated[ScalarOrSchedule, UNIT]
) -> optax.GradientTransformationExtraArgs:
    """``m <- momentum * m + g``, and m beside the mean of the buffer.

    Args:
      memory: the buffer's options.
      momentum: weight of the past, in [0, 1].

    Returns:
      A link.
    """
    check_arguments(critical_trace, locals())

    def init_fn(params: Params) -> Any:
        params = trees.arrays(params)
        return CriticalTraceState(
            count=jnp.zeros((), jnp.int32),
            trace=jax.tree.map(moments.zeros, params),
            buffer=memory.start(params, waits=True),
        )

    def update_fn(
        updates: Updates, state: Any, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, Any]:
        del params, extra
        updates = trees.arrays(updates)
        keep = value_at(momentum, state.count)
        buffer, past, keep = memory.caught_up(state.buffer, state.trace, keep)
        trace = jax.tree.map(
            lambda k, m, g: k.astype(m.dtype) * m + g.astype(m.dtype),
            keep,
            past,
            updates,
        )
        mixed = memory.mixed(buffer, trace, state.count)
        moves = jax.tree.map(lambda g, a: a.astype(g.dtype), updates, mixed)
        buffer = memory.offered(buffer, updates, state.count)
        count = increment(state.count)
        return moves, CriticalTraceState(count, trace, buffer)

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)


@takes(BufferOptions, omit=("aggregate",))
def sgd_cm(
    learning_rate: Annotated[ScalarOrSchedule, NON_NEGATIVE],
    *,
    momentum: Annotated[ScalarOrSchedule, UNIT] = 0.5,
    weight_decay: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 0.0,
    mask: MaskOrFn | None = None,
    **buffer: Any,
) -> optax.GradientTransformationExtraArgs:
    r"""Gradient descent along its momentum and those of its steepest steps.

    OURS: the authors of critical momenta have it for Adam only. With n momenta
    :math:`m_i` in the buffer before a step,

    .. math::
        m \leftarrow \mu m + g + \lambda w, \quad
        w \leftarrow w - \eta \Big(m + \frac{\kappa}{n} \sum_{i=1}^n m_i\Big);

    then m is offered with the norm of :math:`g + \lambda w` as its priority.

    Args:
      learning_rate: step size :math:`\eta`; a number, a traced scalar or a schedule. A
        step is about twice as long as that of plain momentum.
      momentum: decay :math:`\mu` of the momentum, in [0, 1]; a number, a traced scalar
        or a schedule. With 0.9 a step along a constant gradient is twenty times the
        step size.
      weight_decay: coupled decay :math:`\lambda`.
      mask: leaves that decay; default all.
      **buffer: arguments of ``BufferOptions``; capacity 0 and ``kappa=0`` give momentum
        without a buffer.

    Returns:
      An optimizer; its ``update`` takes ``params``.

    Raises:
      InputError: a name is unknown or a number is out of range.

    Gradient evaluations: 1 a step. Memory: 4 (C + 1) + 4 bytes per float32 parameter.
    Differentiable in all numbers.

    Decisions: the first step is that of the base (the paper's way; the authors' code
    for Adam moves nothing in it).

    >>> import jax.numpy as jnp, jaxopt_lab
    >>> tx = jaxopt_lab.sgd_cm(0.1, momentum=0.5)
    >>> w = jnp.array(1.0)
    >>> state = tx.init(w)
    >>> for _ in range(2):
    ...     updates, state = tx.update(jnp.array(4.0), state, w)
    >>> round(float(updates), 6)  # -0.1 * (6 + 4)
    -1.0

    Reference: see ``scale_by_critical_momenta``, for Adam.
    """
    return optax.chain(
        decayed_weights(weight_decay, mask),
        critical_trace(BufferOptions(**buffer), momentum),
        step_size(learning_rate),
    )


@takes(BufferOptions, omit=("aggregate",))
def rmsprop_cm(
    learning_rate: Annotated[ScalarOrSchedule, NON_NEGATIVE],
    *,
    momentum: Annotated[ScalarOrSchedule, UNIT] = 0.9,
    decay_rate: Annotated[ScalarOrSchedule, UNIT] = 0.99,
    eps: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 1e-8,
    centered: bool = False,
    weight_decay: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 0.0,
    mask: MaskOrFn | None = None,
    **buffer: Any,
) -> optax.GradientTransformationExtraArgs:
    r"""RMSprop on its momentum and those of its steepest steps.

    OURS: the authors of critical momenta have it for Adam only. With n momenta
    :math:`m_i` in the buffer before a step,

    .. math::
        m \leftarrow \mu m + g + \lambda w, \quad
        a = m + \frac{\kappa}{n} \sum_{i=1}^n m_i, \quad
        v \leftarrow \alpha v + (1 - \alpha) a^2, \quad
        w \leftarrow w - \eta \frac{a}{\sqrt{v} + \epsilon};

    then m is offered with the norm of :math:`g + \lambda w` as its priority.

    Args:
      learning_rate: step size :math:`\eta`; a number, a traced scalar or a schedule.
      momentum: decay :math:`\mu` of the momentum, in [0, 1], taken before the division;
        with 0 and a capacity of 0 it is plain RMSprop.
      decay_rate: decay :math:`\alpha` of the average of the squares, in [0, 1].
      eps: added to the root, outside of it.
      centered: divide by the standard deviation instead.
      weight_decay: coupled decay :math:`\lambda`.
      mask: leaves that decay; default all.
      **buffer: arguments of ``BufferOptions``; capacity 0 and ``kappa=0`` give RMSprop
        of the momentum without a buffer.

    Returns:
      An optimizer; its ``update`` takes ``params``.

    Raises:
      InputError: a name is unknown or a number is out of range.

    Gradient evaluations: 1 a step. Memory: 4 (C + 1) + 8 bytes per float32 parameter, 4
    more if centered. Differentiable in all numbers, also at zero
    gradients.

    Decisions: the first step is that of the base (the paper's way; the authors' code
    for Adam moves nothing in it).

    >>> import jax.numpy as jnp, jaxopt_lab
    >>> tx = jaxopt_lab.rmsprop_cm(0.01, decay_rate=0.75)
    >>> w = jnp.array(1.0)
    >>> updates, _ = tx.update(jnp.array(4.0), tx.init(w), w)
    >>> round(float(updates), 6)  # -0.01 * 4 / sqrt(0.25 * 16)
    -0.02

    Reference: see ``scale_by_critical_momenta``, for Adam.
    """
    return optax.chain(
        decayed_weights(weight_decay, mask),
        critical_trace(BufferOptions(**buffer), momentum),
        scale_by_rms(decay_rate, eps, centered=centered),
        step_size(learning_rate),
    )
