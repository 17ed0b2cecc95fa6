"""Gradient descent with critical momenta; ours, not from a paper."""

from __future__ import annotations

import optax
from jax.typing import DTypeLike

from jaxopt_lab.core.typing import MaskOrFn, ScalarOrSchedule
from jaxopt_lab.transforms.memory.buffer import Policy
from jaxopt_lab.transforms.memory.ends import decayed_weights, step_size
from jaxopt_lab.transforms.memory.keys import KeyName
from jaxopt_lab.transforms.memory.settings import KeyDecayScalar, Memory
from jaxopt_lab.transforms.memory.trace_cm import critical_trace


def sgd_cm(
    learning_rate: ScalarOrSchedule,
    capacity: int = 5,
    decay: KeyDecayScalar = 0.7,
    key: KeyName = "global",
    *,
    momentum: ScalarOrSchedule = 0.5,
    kappa: ScalarOrSchedule = 1.0,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: MaskOrFn | None = None,
    policy: Policy = "priority",
    resum: bool = False,
    buffer_dtype: DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Gradient descent along its momentum and those of its steepest steps.

    OURS: the authors of critical momenta have it for Adam only. With n momenta
    :math:`m_i` in the buffer before a step,

    .. math::
        m \leftarrow \mu m + g + \lambda w, \quad
        w \leftarrow w - \eta \Big(m + \frac{\kappa}{n} \sum_{i=1}^n m_i\Big);

    then m is offered with the norm of :math:`g + \lambda w` as its key.

    Args:
      learning_rate: :math:`\eta`; a number, a traced scalar or a schedule. A step is
        about twice as long as that of plain momentum.
      capacity: number of momenta remembered; 0 gives gradient descent with momentum.
      decay: of the keys; this and ``key``, ``policy``, ``resum`` and ``buffer_dtype``
        as in ``scale_by_critical_momenta``.
      key: what the priorities are.
      momentum: :math:`\mu`, in [0, 1]; a number, a traced scalar or a schedule. With
        0.9 a step along a constant gradient is twenty times the step size.
      kappa: weight of the buffer; 0 gives gradient descent with momentum.
      weight_decay: :math:`\lambda`, coupled decay.
      mask: leaves that decay; default all.
      policy: which entry makes room.
      resum: carry no running sum.
      buffer_dtype: type of the entries.

    Returns:
      An optimizer; its ``update`` takes ``params``.

    Raises:
      InputError: a name is unknown or a number is out of range.

    Gradient evaluations: 1 a step. Memory: 4 (C + 2) + 4 bytes per float32 parameter.
    Differentiable in all numbers but ``decay``.

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
    memory = Memory(
        capacity,
        decay,
        key,
        kappa=kappa,
        policy=policy,
        resum=resum,
        dtype=buffer_dtype,
    )
    return optax.chain(
        decayed_weights(weight_decay, mask),
        critical_trace(memory, momentum),
        step_size(learning_rate),
    )
