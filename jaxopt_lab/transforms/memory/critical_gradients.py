"""Critical gradients: the steepest gradients so far beside the present one."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core import moments, trees
from jaxopt_lab.core.checks import increment, value_at
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.finish import decayed_weights, step_size
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.options import (
    DECAY,
    NON_NEGATIVE,
    UNIT,
    check_arguments,
    takes,
)
from jaxopt_lab.core.platforms import traced_for
from jaxopt_lab.core.typing import MaskOrFn, Params, Scalar, ScalarOrSchedule, Updates
from jaxopt_lab.transforms.memory.buffer import PriorityBuffer
from jaxopt_lab.transforms.memory.options import BufferOptions
from jaxopt_lab.transforms.memory.safe_optimizers import (
    scale_by_adam,
    scale_by_momentum,
    scale_by_rms,
)


class CriticalGradientsState(NamedTuple):
    """State of ``critical_gradients``: 4 (C + 1) bytes per parameter.

    Attributes:
      count: int32 scalar, number of updates so far; the argument of schedules.
      buffer: the critical gradients; ``None`` at capacity 0.
    """

    count: jax.Array
    buffer: PriorityBuffer | None


@takes(BufferOptions, capacity=10)
def critical_gradients(
    *,
    weight_decay: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 0.0,
    mask: MaskOrFn | None = None,
    **buffer: Any,
) -> optax.GradientTransformationExtraArgs:
    r"""Replace the gradient by its aggregate with the steepest ones so far.

    A link ``g -> a`` that stands before momentum, RMSprop or Adam. It keeps a buffer of
    C gradients with the highest priorities. A priority is the norm of the gradient when
    it came, times ``priority_decay`` for every step since. With n gradients b in the
    buffer, before the present one is offered, and :math:`\kappa` their weight:

    ============================= =============================================
    ``"sum"``                     :math:`g + \kappa \sum b / n`
    ``"mid"``                     :math:`(g + \kappa \sum b / n) / 2`
    ``"mean"``                    :math:`(g + \kappa \sum b) / (n + 1)`
    ``"min" "median" "max"``      :math:`g + \kappa b_j`, of lowest, middle
                                  (index n // 2 upwards) or highest priority
    ``"min-mean"`` and so on      half of that
    ``"replace"``                 :math:`\kappa \sum b / n`, without g
    ============================= =============================================

    In the first step the aggregate is g. While the buffer is not full, every gradient
    enters; then one replaces the first of those with the lowest priority if its own is
    strictly higher. Afterwards all priorities are multiplied by ``priority_decay``.

    At ``kappa=0`` the aggregate is g whatever its name, with a jump there for those
    which are no multiple of g otherwise; at capacity 0 the link is the identity.

    Args:
      weight_decay: coupled decay, added to the gradient before it is aggregated and
        stored but not counted in its priority; number, traced scalar or schedule.
      mask: leaves that decay: a tree of booleans or a function of the parameters that
        gives one. Default: all.
      **buffer: arguments of ``BufferOptions``; the capacity is 10.

    Returns:
      A link. Its ``update`` takes ``params`` where ``weight_decay`` is given.

    Raises:
      InputError: a name is unknown, a number is out of range, ``params`` is missing or
        the mask does not fit.

    Gradient evaluations: 1 a step. Memory per float32 parameter: 4 (C + 1) bytes, the
    running sum or the entry by rank among them; 2 C + 4 with a bfloat16 buffer. The
    gradient waits beside them until the norms of all leaves are known, which decide
    whether it is stored: a peak of 4 (C + 2). On a CPU the old sum of a leaf is copied,
    one leaf after the other. The time of a step does not depend on C. Differentiable in
    ``kappa``, ``weight_decay``, gradients and parameters; which gradients stay is
    piecewise constant, so that the derivative by ``priority_decay`` is 0. Under
    ``shard_map`` the priorities are the norms of the local shards: use ``jit`` for
    sharded parameters.

    Decisions: ``"sum"``, ``"replace"`` and the decay of priorities are those of the
    authors' newer code, the others those of their first; where the two differ (the
    first tests against an entry that may not be the lowest) we follow the newer one.
    Their ``kappa`` of 0 and capacity of 0 fail; ours give the plain optimizer. The
    running sum is recomputed every 64 steps, so that rounding does not add up.

    >>> import jaxopt_lab
    >>> link = jaxopt_lab.critical_gradients(capacity=1)
    >>> state = link.init(jnp.zeros(()))
    >>> for g in (2.0, 1.0, 1.5):
    ...     a, state = link.update(jnp.array(g), state)
    >>> float(a)  # 1.5 beside 2.0, whose priority became 2 * 0.7 * 0.7, above 1
    3.5

    References: McRae, Parthasarathi, Assran and Chandar, "Memory Augmented Optimizers
    for Deep Learning", ICLR 2022, arXiv:2106.10708; Malviya, Mordido, Baratin,
    Babanezhad Harikandeh, Huang, Lacoste-Julien, Pascanu and Chandar, "Promoting
    Exploration in Memory-Augmented Adam using Critical Momenta", arXiv:2307.09638.
    Code followed: chandar-lab/CMOptimizer, and for the aggregations that it lacks
    chandar-lab/CriticalGradientOptimization.
    """
    check_arguments(critical_gradients, locals())
    return _critical_gradients(BufferOptions(**buffer), weight_decay, mask)


def _critical_gradients(
    memory: BufferOptions,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: MaskOrFn | None = None,
    *,
    written: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """The link; ``written``: what follows uses the aggregate so often that XLA:CPU
    writes it to memory, so that nothing else reads the sum that it is made of."""
    decays = known_number(weight_decay) != 0

    def init_fn(params: Params) -> Any:
        buffer = memory.start(trees.arrays(params))
        return CriticalGradientsState(jnp.zeros((), jnp.int32), buffer)

    def update_fn(
        updates: Updates, state: Any, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, Any]:
        del extra
        updates, params = trees.arrays((updates, params))
        entry = updates
        if decays:
            if params is None:
                raise InputError(
                    "critical_gradients with weight_decay needs params: call "
                    "tx.update(grads, state, params)"
                )
            strength = value_at(weight_decay, state.count)
            entry = _decayed(updates, params, strength, mask)
        mixed = memory.mixed(state.buffer, entry, state.count)
        moves = jax.tree.map(lambda g, a: a.astype(g.dtype), updates, mixed)
        behind = moves if written and traced_for(updates) == "cpu" else None
        buffer = memory.stored(state.buffer, entry, updates, state.count, behind)
        count = increment(state.count)
        return moves, CriticalGradientsState(count, buffer)

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)


def _decayed(
    updates: Updates, params: Params, strength: Scalar, mask: MaskOrFn | None
) -> Updates:
    """``g + strength * p`` under the mask, float32 or better."""

    def one(decays: bool | jax.Array, g: jax.Array, p: jax.Array) -> jax.Array:
        dtype = moments.moment_dtype(g.dtype)
        part = jnp.asarray(strength, dtype) * p.astype(dtype)
        return g.astype(dtype) + jnp.where(decays, part, jnp.zeros_like(part))

    return jax.tree.map(one, trees.resolve_mask(mask, params), updates, params)


@takes(critical_gradients, omit=("weight_decay", "mask"))
def adam_cg(
    learning_rate: Annotated[ScalarOrSchedule, NON_NEGATIVE],
    *,
    b1: Annotated[ScalarOrSchedule, DECAY] = 0.9,
    b2: Annotated[ScalarOrSchedule, DECAY] = 0.999,
    eps: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 1e-8,
    amsgrad: bool = False,
    weight_decay: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 0.0,
    mask: MaskOrFn | None = None,
    **buffer: Any,
) -> optax.GradientTransformationExtraArgs:
    """Adam on the aggregate of the gradient and the steepest ones so far.

    ``chain(critical_gradients, add_decayed_weights, adam, learning rate)``: both
    moments of Adam are those of the aggregate. References, code followed and errors as
    ``critical_gradients``.

    Args:
      learning_rate: step size; a number, a traced scalar or a schedule.
      b1: decay of the average of the aggregates, in [0, 1).
      b2: decay of the average of their squares, in [0, 1).
      eps: added to the root of the second moment.
      amsgrad: divide by the root of the largest second moment so far.
      weight_decay: coupled decay, added to the aggregate before both moments.
      mask: leaves that decay; default all.
      **buffer: arguments of ``critical_gradients``; ``aggregate="sum"`` is that of the
        authors' newer code, ``"mean"`` that of their first.

    Returns:
      An optimizer; its ``update`` takes ``params``.

    Gradient evaluations: 1 a step. Memory: 4 (C + 1) + 8 bytes per float32 parameter.
    Differentiable in all numbers, also at zero gradients.

    >>> import jax.numpy as jnp, jaxopt_lab
    >>> tx = jaxopt_lab.adam_cg(0.1)
    >>> w = jnp.array(1.0)
    >>> updates, _ = tx.update(jnp.array(4.0), tx.init(w), w)
    >>> round(float(updates), 6)  # the first step is one of Adam
    -0.1
    """
    return optax.chain(
        critical_gradients(**buffer),
        decayed_weights(weight_decay, mask),
        scale_by_adam(b1, b2, eps, amsgrad=amsgrad),
        step_size(learning_rate),
    )


@takes(critical_gradients)
def sgd_cg(
    learning_rate: Annotated[ScalarOrSchedule, NON_NEGATIVE],
    *,
    momentum: Annotated[ScalarOrSchedule | None, UNIT] = None,
    dampening: Annotated[ScalarOrSchedule, UNIT] = 0.0,
    **buffer: Any,
) -> optax.GradientTransformationExtraArgs:
    """Gradient descent along the gradient and the steepest ones so far.

    ``chain(critical_gradients, momentum, learning rate)``, the decay in the first.
    References, code followed and errors as ``critical_gradients``; unlike in that code
    momentum works at ``kappa=0``.

    Args:
      learning_rate: step size; a number, a traced scalar or a schedule. With ``"sum"``
        a step is about twice as long as that of plain gradient descent.
      momentum: weight of the past in a trace of the aggregates, in [0, 1]; ``None``:
        there is none, and no state for it.
      dampening: share of an aggregate that does not enter the trace, in [0, 1]; not in
        the first step.
      **buffer: arguments of ``critical_gradients``.

    Returns:
      An optimizer; its ``update`` takes ``params`` where ``weight_decay`` is given.

    Gradient evaluations: 1 a step. Memory: 4 (C + 1) bytes per float32 parameter, 4
    more with momentum. Differentiable in all numbers.

    >>> import jax.numpy as jnp, jaxopt_lab
    >>> tx = jaxopt_lab.sgd_cg(0.1)
    >>> w = jnp.array(1.0)
    >>> state = tx.init(w)
    >>> for _ in range(2):
    ...     updates, state = tx.update(jnp.array(4.0), state, w)
    >>> round(float(updates), 6)  # the gradient and the one before
    -0.8
    """
    check_arguments(sgd_cg, locals())
    links = [critical_gradients(**buffer), step_size(learning_rate)]
    if momentum is not None:
        links.insert(1, scale_by_momentum(momentum, dampening))
    return optax.chain(*links)


@takes(critical_gradients, omit=("weight_decay", "mask"), aggregate="replace")
def rmsprop_cg(
    learning_rate: Annotated[ScalarOrSchedule, NON_NEGATIVE],
    *,
    decay_rate: Annotated[ScalarOrSchedule, UNIT] = 0.99,
    eps: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 1e-8,
    centered: bool = False,
    momentum: Annotated[ScalarOrSchedule | None, UNIT] = None,
    weight_decay: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 0.0,
    mask: MaskOrFn | None = None,
    **buffer: Any,
) -> optax.GradientTransformationExtraArgs:
    """RMSprop on the mean of the steepest gradients so far.

    ``chain(critical_gradients, add_decayed_weights, rms, momentum, learning rate)``.
    References, code followed and errors as ``critical_gradients``. With
    ``aggregate="replace"``, the default here and in the authors' newer code, the
    present gradient acts from the second step on through the buffer only, one step
    late, and ``kappa`` beside 0 only scales the aggregate. To keep the gradient:
    ``"mean"``, as in their first code, or ``"sum"``, as in ``adam_cg``.

    Args:
      learning_rate: step size; a number, a traced scalar or a schedule.
      decay_rate: decay of the average of the squares, in [0, 1].
      eps: added to the root, outside of it.
      centered: divide by the standard deviation instead.
      momentum: weight of the past in a trace of the steps, in [0, 1]; ``None``: there
        is none, and no state for it.
      weight_decay: coupled decay, added to the aggregate.
      mask: leaves that decay; default all.
      **buffer: arguments of ``critical_gradients``.

    Returns:
      An optimizer; its ``update`` takes ``params``.

    Gradient evaluations: 1 a step. Memory: 4 (C + 1) + 4 bytes per float32 parameter, 4
    more if centered and 4 more with momentum. Differentiable in all numbers, also at
    zero gradients.

    >>> import jax.numpy as jnp, jaxopt_lab
    >>> tx = jaxopt_lab.rmsprop_cg(0.01, decay_rate=0.75)
    >>> w = jnp.array(1.0)
    >>> updates, _ = tx.update(jnp.array(4.0), tx.init(w), w)
    >>> round(float(updates), 6)  # -0.01 * 4 / sqrt(0.25 * 16)
    -0.02
    """
    links = [
        _critical_gradients(BufferOptions(**buffer), written=True),
        decayed_weights(weight_decay, mask),
        scale_by_rms(decay_rate, eps, centered=centered),
        step_size(learning_rate),
    ]
    if momentum is not None:
        links.insert(3, scale_by_momentum(momentum))
    return optax.chain(*links)
