"""Critical momenta: Adam beside the momenta of its steepest steps so far."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core import moments, trees
from jaxopt_lab.core.checks import increment, value_at
from jaxopt_lab.core.finish import finished, step_size
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.options import DECAY, NON_NEGATIVE, check_arguments, takes
from jaxopt_lab.core.typing import MaskOrFn, Params, ScalarOrSchedule, Updates
from jaxopt_lab.transforms.memory.buffer import PriorityBuffer
from jaxopt_lab.transforms.memory.options import BufferOptions
from jaxopt_lab.transforms.memory.safe_optimizers import adam_step


class ScaleByCriticalMomentaState(NamedTuple):
    """State of ``scale_by_critical_momenta``: 4 (C + 1) + 8 bytes a parameter.

    ``mu`` is offered to the buffer at the end of a step and stored at the beginning of
    the next: ``memory.store(buffer, mu)`` is the buffer with it.

    Attributes:
      count: int32 scalar, number of updates so far; the argument of schedules.
      mu: like the parameters, float32 or better, average of the gradients; after a
        first step that moves nothing that gradient itself, which the next step takes
        as zero.
      nu: the same, average of the squares of the aggregates.
      nu_max: largest ``nu`` so far, with ``amsgrad``; else ``None``.
      buffer: the critical momenta before the last; ``None`` at capacity 0.
    """

    count: jax.Array
    mu: Updates
    nu: Updates
    nu_max: Updates | None
    buffer: PriorityBuffer | None


@takes(BufferOptions, omit=("aggregate",))
def scale_by_critical_momenta(
    *,
    b1: Annotated[ScalarOrSchedule, DECAY] = 0.9,
    b2: Annotated[ScalarOrSchedule, DECAY] = 0.999,
    eps: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 1e-8,
    amsgrad: bool = False,
    clean_first_step: bool = False,
    **buffer: Any,
) -> optax.GradientTransformationExtraArgs:
    r"""Adam's direction with the momenta of the steepest steps so far.

    A link ``g -> direction``. It keeps a buffer of C momenta with the highest
    priorities. A priority is the norm of the gradient when the momentum came, times
    ``priority_decay`` for every step since. With n momenta :math:`m_i` in the buffer
    before a step, and :math:`\kappa` their weight:

    .. math::
        m \leftarrow \beta_1 m + (1 - \beta_1) g, \quad
        a = m + \frac{\kappa}{n} \sum_{i=1}^n m_i, \quad
        v \leftarrow \beta_2 v + (1 - \beta_2) a^2, \\
        \text{direction} = \frac{a / (1 - \beta_1^t)}
                               {\sqrt{v / (1 - \beta_2^t)} + \epsilon}.

    Then m is offered to the buffer and all priorities are multiplied by
    ``priority_decay``. While there is room every momentum enters; in a full buffer it
    replaces the first one of lowest priority if its own is strictly higher.

    Args:
      b1: decay of m, in [0, 1); a number, a traced scalar or a schedule.
      b2: decay of v, in [0, 1); the same.
      eps: added to the root, in the units of the gradient; the same.
      amsgrad: divide by the root of the largest v so far, corrected after the maximum.
      clean_first_step: begin as the paper does, with a step of Adam (v of the squared
        gradient) whose momentum enters the buffer. As in the authors' code otherwise:
        the first step moves nothing, leaves m and v at zero, and puts the gradient
        itself into the buffer.
      **buffer: arguments of ``BufferOptions``; capacity 0 or ``kappa=0`` give Adam,
        whose second moment is of the gradients.

    Returns:
      A link.

    Raises:
      InputError: a name is unknown or a number is out of range.

    Gradient evaluations: 1 a step. Memory per float32 parameter: 4 (C + 1) + 8 bytes,
    the running sum among them; 2 C + 12 with a bfloat16 buffer; 4 more with
    ``amsgrad``; no temporaries. The time of a step does not depend on C, and less is
    moved in one after a momentum was refused. Differentiable in all numbers but
    ``priority_decay`` (which entries stay is piecewise constant), in gradients and in
    parameters, also at zero gradients. Under ``shard_map`` the priorities are the norms
    of the local shards: use ``jit`` for sharded parameters.

    Decisions: the authors' code is followed, also where it differs from the paper: the
    first step, and the division by the entries in use instead of C. The mean of the
    buffer is corrected for the bias of m, although it has none, so early directions are
    long: 5.3 times the mean at t = 2. Theirs fails at ``capacity=0`` and
    ``kappa=0``, does not scale by ``kappa``, and what it calls FIFO overwrites one slot
    again and again. Its running sum is never refreshed; ours is recomputed every 64
    steps, so that rounding does not add up.

    >>> import jaxopt_lab
    >>> link = jaxopt_lab.scale_by_critical_momenta(b1=0.5)
    >>> g, state = jnp.array(1.0), link.init(jnp.array(0.0))
    >>> nothing, state = link.update(g, state)
    >>> _, state = link.update(g, state)
    >>> float(nothing), float(state.mu), float(state.buffer.total)  # 0.5 waits
    (0.0, 0.5, 1.0)

    Reference: Malviya, Mordido, Baratin, Babanezhad Harikandeh, Huang, Lacoste-Julien,
    Pascanu and Chandar, "Promoting Exploration in Memory-Augmented Adam using Critical
    Momenta", arXiv:2307.09638. Code followed: chandar-lab/CMOptimizer.
    """
    check_arguments(scale_by_critical_momenta, locals())
    memory = BufferOptions(**buffer)

    def init_fn(params: Params) -> Any:
        params = trees.arrays(params)
        squares = lambda: jax.tree.map(moments.zeros_of_squares, params)
        return ScaleByCriticalMomentaState(
            count=jnp.zeros((), jnp.int32),
            mu=jax.tree.map(moments.zeros, params),
            nu=squares(),
            nu_max=squares() if amsgrad else None,
            buffer=memory.start(params, waits=True),
        )

    def update_fn(
        updates: Updates, state: Any, params: Params | None = None, **extra: Any
    ) -> tuple[Updates, Any]:
        del params, extra
        updates = trees.arrays(updates)
        now = [value_at(value, state.count) for value in (b1, b2, eps)]
        count = increment(state.count)
        weight = memory.weight_at(state.count)
        # The authors' first step stores the gradient itself and moves nothing. The
        # average holds that gradient then, and the next step takes it as zero: so the
        # gradients need not wait in memory for the norm of all of them.
        first, known = state.count == 0, known_number(memory.kappa)
        follow = state.buffer is not None and not clean_first_step and known != 0
        silent = follow & first & (weight != 0)
        keep = jnp.where(silent, 0, now[0]) if follow else now[0]
        buffer, past, keep = memory.caught_up(state.buffer, state.mu, keep)

        def averaged(
            m: jax.Array, v: jax.Array, g: jax.Array, keep: jax.Array
        ) -> jax.Array:
            if follow:
                # A weight that varies may have been 0: then the squares are not.
                second = state.count == 1
                m = zero_if(second if known is not None else second & (v == 0), m)
            return moments.average(m, g, keep)

        mu = jax.tree.map(averaged, past, state.nu, updates, keep)
        moving = jax.tree.map(lambda m: zero_if(silent, m), mu) if follow else mu
        aggregate = memory.mixed(buffer, moving, state.count)
        plain = state.buffer is None or weight == 0
        if state.buffer is not None and clean_first_step:
            plain = plain | first
        squared = _squared(plain, updates, aggregate)
        moves, nu, nu_max = adam_step(
            updates, aggregate, squared, state.nu, state.nu_max, count, *now
        )
        buffer = memory.offered(buffer, updates, state.count)
        return moves, ScaleByCriticalMomentaState(count, mu, nu, nu_max, buffer)

    return optax.GradientTransformationExtraArgs(init_fn, update_fn)


def zero_if(condition: jax.Array, x: jax.Array) -> jax.Array:
    """``x``, or 0 times it: so that what is no number stays visible.

    Args:
      condition: boolean, a scalar or like ``x``.
      x: an array.

    Returns:
      As ``x``.
    """
    return jnp.where(condition, 0, 1).astype(x.dtype) * x


def _squared(plain: bool | jax.Array, updates: Updates, aggregate: Updates) -> Updates:
    """The tree whose squares are averaged: in a step of Adam the gradients."""
    if isinstance(plain, bool):
        return updates if plain else aggregate
    return jax.tree.map(
        lambda g, a: jnp.where(plain, g.astype(a.dtype), a), updates, aggregate
    )


@takes(scale_by_critical_momenta)
def adam_cm(
    learning_rate: Annotated[ScalarOrSchedule, NON_NEGATIVE], **options: Any
) -> optax.GradientTransformationExtraArgs:
    """Adam beside the momenta of its steepest steps so far.

    ``chain(scale_by_critical_momenta, learning rate)``; memory, derivatives, errors,
    reference and code followed as there.

    Args:
      learning_rate: step size; a number, a traced scalar or a schedule. The authors
        search it around that of Adam and a tenth of it.
      **options: arguments of ``scale_by_critical_momenta``.

    Returns:
      An optimizer.

    >>> import jax.numpy as jnp, jaxopt_lab
    >>> tx = jaxopt_lab.adam_cm(0.1, clean_first_step=True)
    >>> updates, _ = tx.update(jnp.array(4.0), tx.init(jnp.array(1.0)))
    >>> round(float(updates), 6)  # the paper's first step is one of Adam
    -0.1
    """
    return optax.chain(scale_by_critical_momenta(**options), step_size(learning_rate))


@takes(scale_by_critical_momenta)
def adamw_cm(
    learning_rate: Annotated[ScalarOrSchedule, NON_NEGATIVE],
    *,
    weight_decay: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 1e-4,
    mask: MaskOrFn | None = None,
    **options: Any,
) -> optax.GradientTransformationExtraArgs:
    """``adam_cm`` with decoupled weight decay.

    ``chain(scale_by_critical_momenta, add_decayed_weights, learning rate)``: all
    parameters shrink by ``learning_rate * weight_decay`` of themselves in every step,
    the first one included. Memory, derivatives, errors, reference and code followed as
    ``scale_by_critical_momenta``.

    Args:
      learning_rate: step size; a number, a traced scalar or a schedule.
      weight_decay: decay of the parameters, times the step size; a number, a traced
        scalar or a schedule. The authors' default is 0; 1e-4 is that of
        ``optax.adamw``.
      mask: leaves that decay: a tree of booleans or a function of the parameters that
        gives one. Default: all.
      **options: arguments of ``scale_by_critical_momenta``.

    Returns:
      An optimizer; its ``update`` takes ``params``.

    >>> import jax.numpy as jnp, jaxopt_lab
    >>> tx = jaxopt_lab.adamw_cm(0.1, weight_decay=0.5)
    >>> w = jnp.array(2.0)
    >>> updates, _ = tx.update(jnp.array(4.0), tx.init(w), w)
    >>> round(float(updates), 6)  # -0.1 * 0.5 * 2
    -0.1
    """
    link = scale_by_critical_momenta(**options)
    return finished(link, learning_rate, weight_decay, mask)
