"""Adam with critical momenta and decoupled weight decay."""

from __future__ import annotations

import optax
from jax.typing import DTypeLike

from jaxopt_lab.core.typing import MaskOrFn, ScalarOrSchedule
from jaxopt_lab.transforms.memory.buffer import Policy
from jaxopt_lab.transforms.memory.critical_momenta import scale_by_critical_momenta
from jaxopt_lab.transforms.memory.ends import decayed_weights, step_size
from jaxopt_lab.transforms.memory.keys import KeyName
from jaxopt_lab.transforms.memory.settings import KeyDecayScalar


def adamw_cm(
    learning_rate: ScalarOrSchedule,
    capacity: int = 5,
    decay: KeyDecayScalar = 0.7,
    key: KeyName = "global",
    *,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule = 1e-8,
    kappa: ScalarOrSchedule = 1.0,
    weight_decay: ScalarOrSchedule = 1e-4,
    mask: MaskOrFn | None = None,
    amsgrad: bool = False,
    clean_first_step: bool = False,
    policy: Policy = "priority",
    resum: bool = False,
    buffer_dtype: DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """``adam_cm`` with decoupled weight decay.

    ``chain(scale_by_critical_momenta, add_decayed_weights, learning rate)``: all
    parameters shrink by ``learning_rate * weight_decay`` of themselves in every step,
    the first one included.

    Args:
      learning_rate: step size; a number, a traced scalar or a schedule.
      capacity: number of momenta remembered; 0 gives AdamW.
      decay: of the KEYS; this and all others as in ``scale_by_critical_momenta``.
      key: what the priorities are.
      b1: decay of the momentum, in [0, 1).
      b2: decay of the second moment, in [0, 1).
      eps: added to the root of the second moment.
      kappa: weight of the buffer; 0 gives AdamW.
      weight_decay: of the parameters, times the step size; a number, a traced scalar or
        a schedule. The authors' default is 0; 1e-4 is that of ``optax.adamw``.
      mask: leaves that decay: a tree of booleans or a function of the parameters that
        gives one. Default: all.
      amsgrad: divide by the root of the largest second moment so far.
      clean_first_step: the first step of the paper instead of that of the code, in
        which only the weights decay.
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
    >>> tx = jaxopt_lab.adamw_cm(0.1, weight_decay=0.5)
    >>> w = jnp.array(2.0)
    >>> updates, _ = tx.update(jnp.array(4.0), tx.init(w), w)
    >>> round(float(updates), 6)  # -0.1 * 0.5 * 2
    -0.1

    Reference and code followed: see ``scale_by_critical_momenta``.
    """
    return optax.chain(
        scale_by_critical_momenta(
            capacity,
            decay,
            key,
            b1=b1,
            b2=b2,
            eps=eps,
            kappa=kappa,
            amsgrad=amsgrad,
            clean_first_step=clean_first_step,
            policy=policy,
            resum=resum,
            buffer_dtype=buffer_dtype,
        ),
        decayed_weights(weight_decay, mask),
        step_size(learning_rate),
    )
