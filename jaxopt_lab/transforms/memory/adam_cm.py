"""Adam with critical momenta."""

from __future__ import annotations

import optax
from jax.typing import DTypeLike

from jaxopt_lab.core.typing import ScalarOrSchedule
from jaxopt_lab.transforms.memory.buffer import Policy
from jaxopt_lab.transforms.memory.critical_momenta import scale_by_critical_momenta
from jaxopt_lab.transforms.memory.ends import step_size
from jaxopt_lab.transforms.memory.keys import KeyName
from jaxopt_lab.transforms.memory.settings import KeyDecayScalar


def adam_cm(
    learning_rate: ScalarOrSchedule,
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
    """Adam beside the momenta of its steepest steps so far.

    ``chain(scale_by_critical_momenta, learning rate)``.

    Args:
      learning_rate: step size; a number, a traced scalar or a schedule. The authors
        search it around that of Adam and a tenth of it.
      capacity: number of momenta remembered; 0 gives Adam.
      decay: of the keys; this and all others as in ``scale_by_critical_momenta``.
      key: what the priorities are.
      b1: decay of the momentum, in [0, 1).
      b2: decay of the second moment, in [0, 1).
      eps: added to the root of the second moment.
      kappa: weight of the buffer; 0 gives Adam.
      amsgrad: divide by the root of the largest second moment so far.
      clean_first_step: the first step of the paper instead of that of the code, which
        moves nothing.
      policy: which entry makes room.
      resum: carry no running sum.
      buffer_dtype: type of the entries.

    Returns:
      An optimizer.

    Raises:
      InputError: a name is unknown or a number is out of range.

    Gradient evaluations: 1 a step. Memory: 4 (C + 2) + 8 bytes per float32 parameter.
    Differentiable in all numbers but ``decay``, also at zero gradients.

    >>> import jax.numpy as jnp, jaxopt_lab
    >>> tx = jaxopt_lab.adam_cm(0.1, clean_first_step=True)
    >>> updates, _ = tx.update(jnp.array(4.0), tx.init(jnp.array(1.0)))
    >>> round(float(updates), 6)  # the paper's first step is one of Adam
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
        step_size(learning_rate),
    )
