"""Adam with critical gradients."""

from __future__ import annotations

import optax
from jax.typing import DTypeLike

from jaxopt_lab.core.typing import MaskOrFn, ScalarOrSchedule
from jaxopt_lab.transforms.memory.aggregates import AggregateName
from jaxopt_lab.transforms.memory.buffer import Policy
from jaxopt_lab.transforms.memory.critical_gradients import critical_gradients
from jaxopt_lab.transforms.memory.ends import decayed_weights, step_size
from jaxopt_lab.transforms.memory.keys import KeyName
from jaxopt_lab.transforms.memory.safe_optimizers import scale_by_adam
from jaxopt_lab.transforms.memory.settings import KeyDecayScalar


def adam_cg(
    learning_rate: ScalarOrSchedule,
    capacity: int = 10,
    decay: KeyDecayScalar = 0.7,
    key: KeyName = "global",
    *,
    aggregate: AggregateName = "sum",
    kappa: ScalarOrSchedule = 1.0,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule = 1e-8,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: MaskOrFn | None = None,
    amsgrad: bool = False,
    policy: Policy = "priority",
    resum: bool = False,
    buffer_dtype: DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Adam on the aggregate of the gradient and the steepest ones so far.

    ``chain(critical_gradients, add_decayed_weights, adam, learning rate)``: both
    moments of Adam are those of the aggregate.

    Args:
      learning_rate: step size; a number, a traced scalar or a schedule.
      capacity: number of gradients remembered; 0 gives Adam.
      decay: of the keys; this and ``key``, ``kappa``, ``policy``, ``resum`` and
        ``buffer_dtype`` as in ``critical_gradients``.
      key: what the priorities are.
      aggregate: how gradients become one; ``"sum"`` as in the authors' newer code,
        ``"mean"`` as in their first.
      kappa: weight of the buffer; 0 gives Adam.
      b1: decay of the average of the aggregates, in [0, 1).
      b2: decay of the average of their squares, in [0, 1).
      eps: added to the root of the second moment.
      weight_decay: coupled decay, added to the aggregate before both moments.
      mask: leaves that decay; default all.
      amsgrad: divide by the root of the largest second moment so far.
      policy: which entry makes room.
      resum: carry no running sum.
      buffer_dtype: type of the entries.

    Returns:
      An optimizer; its ``update`` takes ``params``.

    Raises:
      InputError: a name is unknown or a number is out of range.

    Gradient evaluations: 1 a step. Memory: 4 (C + 2) + 8 bytes per float32 parameter.
    Differentiable in all numbers but ``decay``, also at zero gradients.

    >>> import jax.numpy as jnp, jaxopt_lab
    >>> tx = jaxopt_lab.adam_cg(0.1)
    >>> w = jnp.array(1.0)
    >>> updates, _ = tx.update(jnp.array(4.0), tx.init(w), w)
    >>> round(float(updates), 6)  # the first step is one of Adam
    -0.1

    References and code followed: see ``critical_gradients``.
    """
    return optax.chain(
        critical_gradients(
            capacity,
            decay,
            aggregate=aggregate,
            key=key,
            kappa=kappa,
            policy=policy,
            resum=resum,
            buffer_dtype=buffer_dtype,
        ),
        decayed_weights(weight_decay, mask),
        scale_by_adam(b1, b2, eps, amsgrad=amsgrad),
        step_size(learning_rate),
    )
