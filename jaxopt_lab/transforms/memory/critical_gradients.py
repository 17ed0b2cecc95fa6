"""Critical gradients: the steepest gradients so far beside the present one."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import DTypeLike

from jaxopt_lab.core import trees
from jaxopt_lab.core.checks import check_non_negative, increment, value_at
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import MaskOrFn, Params, Scalar, ScalarOrSchedule, Updates
from jaxopt_lab.transforms.memory.aggregates import AggregateName
from jaxopt_lab.transforms.memory.buffer import Policy, PriorityBuffer
from jaxopt_lab.transforms.memory.keys import KeyName
from jaxopt_lab.transforms.memory.settings import KeyDecayScalar, Memory


class CriticalGradientsState(NamedTuple):
    """State of ``critical_gradients``: 4 (C + 2) bytes per parameter.

    Attributes:
      count: int32 scalar, number of updates so far; the argument of schedules.
      buffer: the critical gradients; ``None`` at capacity 0.
    """

    count: jax.Array
    buffer: PriorityBuffer | None


def critical_gradients(
    capacity: int = 10,
    decay: KeyDecayScalar = 0.7,
    *,
    aggregate: AggregateName = "sum",
    key: KeyName = "global",
    kappa: ScalarOrSchedule = 1.0,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: MaskOrFn | None = None,
    policy: Policy = "priority",
    resum: bool = False,
    buffer_dtype: DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Replace the gradient by its aggregate with the steepest ones so far.

    A link ``g -> a`` that stands before momentum, RMSprop or Adam. It keeps a buffer
    of C gradients with the highest keys. A key is the norm of the gradient when it
    came, times ``decay`` for every step since. With n gradients b in the buffer,
    before the present one is offered, and :math:`\kappa` their weight:

    ============================= =============================================
    ``"sum"``                     :math:`g + \kappa \sum b / n`
    ``"mid"``                     :math:`(g + \kappa \sum b / n) / 2`
    ``"mean"``                    :math:`(g + \kappa \sum b) / (n + 1)`
    ``"min" "median" "max"``      :math:`g + \kappa b_j`, of lowest, middle
                                  (index n // 2 upwards) or highest key
    ``"min-mean"`` and so on      half of that
    ``"replace"``                 :math:`\kappa \sum b / n`, without g
    ============================= =============================================

    In the first step the aggregate is g. While the buffer is not full, every gradient
    enters; then one replaces the first of those with the lowest key if its own key is
    strictly higher. Afterwards all keys are multiplied by ``decay``.

    Args:
      capacity: C; 0 makes the link the identity.
      decay: of the keys, in [0, 1]; a number, a traced scalar or a schedule of the
        number of updates. At 0.7 a gradient seldom stays for longer than C steps; at
        0.99 the buffer is selective.
      aggregate: one of the names above.
      key: ``"global"``, the sum of the tensors' norms, one decision for the whole tree;
        ``"true_norm"``, the norm of the whole tree; ``"per_leaf"``, every tensor
        decides by its own norm.
      kappa: weight of the buffer, at least 0; number, traced scalar or schedule. At 0
        the aggregate is g whatever its name, with a jump there for those which are no
        multiple of g otherwise.
      weight_decay: coupled decay, added to the gradient before it is aggregated and
        stored but not counted in its key; number, traced scalar or schedule.
      mask: leaves that decay: a tree of booleans or a function of the parameters that
        gives one. Default: all.
      policy: ``"priority"``, or ``"fifo"``: always replace the oldest entry.
      resum: add the entries up at every step instead of carrying their sum: 4 bytes per
        parameter less, and C reads of a tree more. Without effect on a buffer that is
        narrower than float32.
      buffer_dtype: type of the entries; default float32 or better. With bfloat16 the
        sums stay in float32.

    Returns:
      A link. Its ``update`` takes ``params`` where ``weight_decay`` is given.

    Raises:
      InputError: a name is unknown, a number is out of range, ``params`` is missing or
        the mask does not fit.

    Gradient evaluations: 1 a step. Memory per float32 parameter: 4 (C + 2) bytes, the
    running sum and what it will be without the entry that goes next among them;
    4 (C + 1) with ``resum`` and with an entry by rank; 2 (C + 1) + 4 with a bfloat16
    buffer. The time of a step does not depend on C (on CPU it does with bfloat16, where
    XLA writes the whole buffer). Differentiable in ``kappa``, ``weight_decay``,
    gradients and parameters; which gradients stay is piecewise constant, so that the
    derivative by ``decay`` is 0. Under ``shard_map`` the keys are the norms of the
    local shards: use ``jit`` for sharded parameters.

    Decisions: ``"sum"``, ``"replace"`` and the decay are those of the authors' newer
    code, the others those of their first; where the two differ (the first tests against
    an entry that may not be the lowest) we follow the newer one. Their ``kappa`` of 0
    and capacity of 0 fail; ours give the plain optimizer. The running sum starts anew
    every 64 steps, so that rounding does not add up.

    >>> import jaxopt_lab
    >>> link = jaxopt_lab.critical_gradients(capacity=1)
    >>> state = link.init(jnp.zeros(()))
    >>> for g in (2.0, 1.0, 1.5):
    ...     a, state = link.update(jnp.array(g), state)
    >>> float(a)  # 1.5 beside 2.0, whose key has become 2 * 0.7 * 0.7, above 1
    3.5

    References: McRae, Parthasarathi, Assran and Chandar, "Memory Augmented Optimizers
    for Deep Learning", ICLR 2022, arXiv:2106.10708; Malviya, Mordido, Baratin,
    Babanezhad Harikandeh, Huang, Lacoste-Julien, Pascanu and Chandar, "Promoting
    Exploration in Memory-Augmented Adam using Critical Momenta", arXiv:2307.09638.
    Code followed: chandar-lab/CMOptimizer, and for the aggregations that it lacks
    chandar-lab/CriticalGradientOptimization.
    """
    check_non_negative("weight_decay", weight_decay)
    memory = Memory(
        capacity,
        decay,
        key,
        aggregate=aggregate,
        kappa=kappa,
        policy=policy,
        resum=resum,
        dtype=buffer_dtype,
    )
    decays = not isinstance(weight_decay, int | float) or weight_decay > 0

    def init_fn(params: Params) -> Any:
        return CriticalGradientsState(jnp.zeros((), jnp.int32), memory.start(params))

    def update_fn(
        updates: Updates, state: Any, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, Any]:
        del extra
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
        buffer = memory.stored(state.buffer, entry, updates, state.count)
        count = increment(state.count)
        return moves, CriticalGradientsState(count, buffer)

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)


def _decayed(
    updates: Updates, params: Params, strength: Scalar, mask: MaskOrFn | None
) -> Updates:
    """``g + strength * p`` under the mask, float32 or better."""

    def one(decays: bool | jax.Array, g: jax.Array, p: jax.Array) -> jax.Array:
        dtype = trees.accumulation_dtype(g.dtype)
        part = jnp.asarray(strength, dtype) * p.astype(dtype)
        return g.astype(dtype) + jnp.where(decays, part, jnp.zeros_like(part))

    return jax.tree.map(one, trees.resolve_mask(mask, params), updates, params)
