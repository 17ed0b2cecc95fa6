"""Critical momenta: Adam beside the momenta of its steepest steps so far."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import DTypeLike

from jaxopt_lab.core import moments
from jaxopt_lab.core.checks import increment, value_at
from jaxopt_lab.core.typing import Params, ScalarOrSchedule, Updates
from jaxopt_lab.transforms.memory.buffer import Policy, PriorityBuffer
from jaxopt_lab.transforms.memory.keys import KeyName
from jaxopt_lab.transforms.memory.safe_optimizers import adam_step, check_adam
from jaxopt_lab.transforms.memory.settings import KeyDecayScalar, Memory


class ScaleByCriticalMomentaState(NamedTuple):
    """State of ``scale_by_critical_momenta``: 4 (C + 2) + 8 bytes a parameter.

    Attributes:
      count: int32 scalar, number of updates so far; the argument of schedules.
      mu: like the parameters, float32 or better, average of the gradients.
      nu: the same, average of the squares of the aggregates.
      nu_max: largest ``nu`` so far, with ``amsgrad``; else ``None``.
      buffer: the critical momenta; ``None`` at capacity 0.
    """

    count: jax.Array
    mu: Updates
    nu: Updates
    nu_max: Updates | None
    buffer: PriorityBuffer | None


def scale_by_critical_momenta(
    capacity: int = 5,
    decay: KeyDecayScalar = 0.7,
    key: KeyName = "global",
    *,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule = 1e-8,
    kappa: ScalarOrSchedule = 1.0,
    amsgrad: bool = False,
    clean_first_step: bool = False,
    policy: Policy = "priority",
    resum: bool = False,
    buffer_dtype: DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Adam's direction with the momenta of the steepest steps so far.

    A link ``g -> direction``. It keeps a buffer of C momenta with the highest keys. A
    key is the norm of the gradient when the momentum came, times ``decay`` for every
    step since. With n momenta :math:`m_i` in the buffer before a step, and
    :math:`\kappa` their weight:

    .. math::
        m \leftarrow \beta_1 m + (1 - \beta_1) g, \quad
        a = m + \frac{\kappa}{n} \sum_{i=1}^n m_i, \quad
        v \leftarrow \beta_2 v + (1 - \beta_2) a^2, \\
        \text{direction} = \frac{a / (1 - \beta_1^t)}
                               {\sqrt{v / (1 - \beta_2^t)} + \epsilon}.

    Then m is offered to the buffer and all keys are multiplied by ``decay``. While
    there is room every momentum enters; in a full buffer it replaces the first one of
    lowest key if its own is strictly higher.

    Args:
      capacity: C; 0 gives Adam. The authors use 5, 10 and 20.
      decay: of the keys, in [0, 1]; a number, a traced scalar or a schedule of the
        number of updates. At 0.7 a momentum seldom stays for longer than C steps; at
        0.99 the buffer is selective.
      key: ``"global"``, the sum of the norms of the tensors' gradients, one decision
        for the whole tree; ``"true_norm"``, the norm of the whole tree;
        ``"per_leaf"``, every tensor decides by its own norm.
      b1: decay of m, in [0, 1); a number, a traced scalar or a schedule.
      b2: decay of v, in [0, 1); the same.
      eps: added to the root, in the units of the gradient; the same.
      kappa: weight of the buffer, at least 0; the same. 0 gives Adam, whose second
        moment is of the gradients.
      amsgrad: divide by the root of the largest v so far, corrected after the maximum.
      clean_first_step: begin as the paper does, with a step of Adam (v of the squared
        gradient) whose momentum enters the buffer. As in the authors' code otherwise:
        the first step moves nothing, leaves m and v at zero, and puts the gradient
        itself into the buffer.
      policy: ``"priority"``, or ``"fifo"``: always replace the oldest entry.
      resum: add the entries up at every step instead of carrying their sum: 4 bytes per
        parameter less, and C reads of a tree more. Without effect on a buffer that is
        narrower than float32.
      buffer_dtype: type of the entries; default float32 or better. With bfloat16 the
        sums stay in float32.

    Returns:
      A link.

    Raises:
      InputError: a name is unknown or a number is out of range.

    Gradient evaluations: 1 a step. Memory per float32 parameter: 4 (C + 2) + 8 bytes,
    the running sum and what it will be without the entry that goes next among them;
    4 (C + 1) + 8 with ``resum``, 2 (C + 1) + 12 with a bfloat16 buffer; 4 more with
    ``amsgrad``. The time of a step does not depend on C (on CPU it does with bfloat16,
    where XLA writes the whole buffer). Differentiable in all numbers but ``decay``
    (which entries stay is piecewise constant), in gradients and in parameters, also at
    zero gradients. Under ``shard_map`` the keys are the norms of the local shards: use
    ``jit`` for sharded parameters.

    Decisions: the authors' code is followed, also where it differs from the paper: the
    first step, and the division by the entries in use instead of C. The mean of the
    buffer is corrected for the bias of m, although it has none, so early directions are
    long: 5.3 times the mean at t = 2. Theirs fails at ``capacity=0`` and
    ``kappa=0``, does not scale by ``kappa``, and what it calls FIFO overwrites one slot
    again and again. Its running sum is never refreshed; ours starts anew every 64
    steps, so that rounding does not add up.

    >>> import jaxopt_lab
    >>> link = jaxopt_lab.scale_by_critical_momenta(b1=0.5)
    >>> g, state = jnp.array(1.0), link.init(jnp.array(0.0))
    >>> nothing, state = link.update(g, state)
    >>> _, state = link.update(g, state)
    >>> float(nothing), float(state.mu), float(state.buffer.total)  # 1 and 0.5
    (0.0, 0.5, 1.5)

    Reference: Malviya, Mordido, Baratin, Babanezhad Harikandeh, Huang, Lacoste-Julien,
    Pascanu and Chandar, "Promoting Exploration in Memory-Augmented Adam using Critical
    Momenta", arXiv:2307.09638. Code followed: chandar-lab/CMOptimizer.
    """
    check_adam(b1, b2, eps)
    memory = Memory(
        capacity,
        decay,
        key,
        kappa=kappa,
        policy=policy,
        resum=resum,
        dtype=buffer_dtype,
    )

    def init_fn(params: Params) -> Any:
        like = lambda: jax.tree.map(moments.zeros, params)
        return ScaleByCriticalMomentaState(
            count=jnp.zeros((), jnp.int32),
            mu=like(),
            nu=like(),
            nu_max=like() if amsgrad else None,
            buffer=memory.start(params),
        )

    def update_fn(
        updates: Updates, state: Any, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, Any]:
        del params, extra
        now = [value_at(value, state.count) for value in (b1, b2, eps)]
        count = increment(state.count)
        weight = value_at(kappa, state.count)
        # The authors' first step stores the gradient itself and moves nothing.
        silent = (state.count == 0) & (weight != 0)
        follow = state.buffer is not None and not clean_first_step

        def averaged(m: jax.Array, g: jax.Array) -> jax.Array:
            # A factor, so that a gradient that is no number stays visible.
            factor = jnp.where(silent, 0, 1).astype(g.dtype) if follow else 1
            return moments.average(m, factor * g, now[0])

        def stored(m: jax.Array, g: jax.Array) -> jax.Array:
            return jnp.where(silent, g.astype(m.dtype), m) if follow else m

        mu = jax.tree.map(averaged, state.mu, updates)
        aggregate = memory.mixed(state.buffer, mu, state.count)
        entry = jax.tree.map(stored, mu, updates)
        plain = state.buffer is None or weight == 0
        if state.buffer is not None and clean_first_step:
            plain = plain | (state.count == 0)
        squared = _squared(plain, updates, aggregate)
        moves, nu, nu_max = adam_step(
            updates, aggregate, squared, state.nu, state.nu_max, count, *now
        )
        buffer = memory.stored(state.buffer, entry, updates, state.count)
        return moves, ScaleByCriticalMomentaState(count, mu, nu, nu_max, buffer)

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)


def _squared(plain: bool | jax.Array, updates: Updates, aggregate: Updates) -> Updates:
    """What the second moment is of: in a step of Adam the gradient, not a momentum."""
    if isinstance(plain, bool):
        return updates if plain else aggregate
    return jax.tree.map(
        lambda g, a: jnp.where(plain, g.astype(a.dtype), a), updates, aggregate
    )
