"""Gradient descent with critical gradients."""

from __future__ import annotations

import optax
from jax.typing import DTypeLike

from jaxopt_lab.core.typing import MaskOrFn, ScalarOrSchedule
from jaxopt_lab.transforms.memory.aggregates import AggregateName
from jaxopt_lab.transforms.memory.buffer import Policy
from jaxopt_lab.transforms.memory.critical_gradients import critical_gradients
from jaxopt_lab.transforms.memory.ends import step_size
from jaxopt_lab.transforms.memory.keys import KeyName
from jaxopt_lab.transforms.memory.safe_optimizers import scale_by_momentum
from jaxopt_lab.transforms.memory.settings import KeyDecayScalar


def sgd_cg(
    learning_rate: ScalarOrSchedule,
    capacity: int = 10,
    decay: KeyDecayScalar = 0.7,
    key: KeyName = "global",
    *,
    aggregate: AggregateName = "sum",
    kappa: ScalarOrSchedule = 1.0,
    momentum: ScalarOrSchedule | None = None,
    dampening: ScalarOrSchedule = 0.0,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: MaskOrFn | None = None,
    policy: Policy = "priority",
    resum: bool = False,
    buffer_dtype: DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Gradient descent along the gradient and the steepest ones so far.

    ``chain(critical_gradients, momentum, learning rate)``, the decay in the first.

    Args:
      learning_rate: step size; a number, a traced scalar or a schedule. With ``"sum"``
        a step is about twice as long as that of plain gradient descent.
      capacity: number of gradients remembered; 0 gives plain gradient descent.
      decay: of the keys; this and ``key``, ``kappa``, ``policy``, ``resum`` and
        ``buffer_dtype`` as in ``critical_gradients``.
      key: what the priorities are.
      aggregate: how gradients become one.
      kappa: weight of the buffer; 0 gives plain gradient descent.
      momentum: weight of the past in a trace of the aggregates, in [0, 1]; ``None``:
        there is none, and no state for it.
      dampening: what is taken off an aggregate before it enters the trace, in [0, 1];
        not in the first step.
      weight_decay: coupled decay, added to the gradient before it is aggregated and
        stored; the key is the norm of the gradient without it.
      mask: leaves that decay; default all.
      policy: which entry makes room.
      resum: carry no running sum.
      buffer_dtype: type of the entries.

    Returns:
      An optimizer; its ``update`` takes ``params`` where ``weight_decay`` is given.

    Raises:
      InputError: a name is unknown or a number is out of range.

    Gradient evaluations: 1 a step. Memory: 4 (C + 2) bytes per float32 parameter, 4
    more with momentum. Differentiable in all numbers but the keys' ``decay``.

    Decisions: as the authors' newer code, except that momentum works at ``kappa=0``,
    where theirs is switched off too.

    >>> import jax.numpy as jnp, jaxopt_lab
    >>> tx = jaxopt_lab.sgd_cg(0.1)
    >>> w = jnp.array(1.0)
    >>> state = tx.init(w)
    >>> for _ in range(2):
    ...     updates, state = tx.update(jnp.array(4.0), state, w)
    >>> round(float(updates), 6)  # the gradient and the one before
    -0.8

    References and code followed: see ``critical_gradients``.
    """
    links = [
        critical_gradients(
            capacity,
            decay,
            aggregate=aggregate,
            key=key,
            kappa=kappa,
            weight_decay=weight_decay,
            mask=mask,
            policy=policy,
            resum=resum,
            buffer_dtype=buffer_dtype,
        ),
        step_size(learning_rate),
    ]
    if momentum is not None:
        links.insert(1, scale_by_momentum(momentum, dampening))
    return optax.chain(*links)
