"""RMSprop with critical momenta; ours, not from a paper."""

from __future__ import annotations

import optax
from jax.typing import DTypeLike

from jaxopt_lab.core.typing import MaskOrFn, ScalarOrSchedule
from jaxopt_lab.transforms.memory.buffer import Policy
from jaxopt_lab.transforms.memory.ends import decayed_weights, step_size
from jaxopt_lab.transforms.memory.keys import KeyName
from jaxopt_lab.transforms.memory.safe_optimizers import scale_by_rms
from jaxopt_lab.transforms.memory.settings import KeyDecayScalar, Memory
from jaxopt_lab.transforms.memory.trace_cm import critical_trace


def rmsprop_cm(
    learning_rate: ScalarOrSchedule,
    capacity: int = 5,
    decay: KeyDecayScalar = 0.7,
    key: KeyName = "global",
    *,
    momentum: ScalarOrSchedule = 0.9,
    decay_rate: ScalarOrSchedule = 0.99,
    eps: ScalarOrSchedule = 1e-8,
    centered: bool = False,
    kappa: ScalarOrSchedule = 1.0,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: MaskOrFn | None = None,
    policy: Policy = "priority",
    resum: bool = False,
    buffer_dtype: DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""RMSprop on its momentum and those of its steepest steps.

    OURS: the authors of critical momenta have it for Adam only. With n momenta
    :math:`m_i` in the buffer before a step,

    .. math::
        m \leftarrow \mu m + g + \lambda w, \quad
        a = m + \frac{\kappa}{n} \sum_{i=1}^n m_i, \quad
        v \leftarrow \alpha v + (1 - \alpha) a^2, \quad
        w \leftarrow w - \eta \frac{a}{\sqrt{v} + \epsilon};

    then m is offered with the norm of :math:`g + \lambda w` as its key.

    Args:
      learning_rate: :math:`\eta`; a number, a traced scalar or a schedule.
      capacity: number of momenta remembered; 0 gives RMSprop of the momentum.
      decay: of the keys; this and ``key``, ``policy``, ``resum`` and ``buffer_dtype``
        as in ``scale_by_critical_momenta``.
      key: what the priorities are.
      momentum: :math:`\mu`, in [0, 1], taken before the division; with 0 and a
        capacity of 0 it is plain RMSprop.
      decay_rate: :math:`\alpha`, in [0, 1].
      eps: added to the root, outside of it.
      centered: divide by the standard deviation instead.
      kappa: weight of the buffer; 0 gives RMSprop of the momentum.
      weight_decay: :math:`\lambda`, coupled decay.
      mask: leaves that decay; default all.
      policy: which entry makes room.
      resum: carry no running sum.
      buffer_dtype: type of the entries.

    Returns:
      An optimizer; its ``update`` takes ``params``.

    Raises:
      InputError: a name is unknown or a number is out of range.

    Gradient evaluations: 1 a step. Memory: 4 (C + 2) + 8 bytes per float32 parameter, 4
    more if centered. Differentiable in all numbers but ``decay``, also at zero
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
        scale_by_rms(decay_rate, eps, centered=centered),
        step_size(learning_rate),
    )
