"""RMSprop with critical gradients."""

from __future__ import annotations

import optax
from jax.typing import DTypeLike

from jaxopt_lab.core.typing import MaskOrFn, ScalarOrSchedule
from jaxopt_lab.transforms.memory.aggregates import AggregateName
from jaxopt_lab.transforms.memory.buffer import Policy
from jaxopt_lab.transforms.memory.critical_gradients import critical_gradients
from jaxopt_lab.transforms.memory.ends import decayed_weights, step_size
from jaxopt_lab.transforms.memory.keys import KeyName
from jaxopt_lab.transforms.memory.safe_optimizers import scale_by_momentum, scale_by_rms
from jaxopt_lab.transforms.memory.settings import KeyDecayScalar


def rmsprop_cg(
    learning_rate: ScalarOrSchedule,
    capacity: int = 10,
    decay: KeyDecayScalar = 0.7,
    key: KeyName = "global",
    *,
    aggregate: AggregateName = "replace",
    kappa: ScalarOrSchedule = 1.0,
    decay_rate: ScalarOrSchedule = 0.99,
    eps: ScalarOrSchedule = 1e-8,
    centered: bool = False,
    momentum: ScalarOrSchedule | None = None,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: MaskOrFn | None = None,
    policy: Policy = "priority",
    resum: bool = False,
    buffer_dtype: DTypeLike | None = None,
) -> optax.GradientTransformationExtraArgs:
    """RMSprop on the mean of the steepest gradients so far.

    ``chain(critical_gradients, add_decayed_weights, rms, momentum, learning rate)``.

    Args:
      learning_rate: step size; a number, a traced scalar or a schedule.
      capacity: number of gradients remembered; 0 gives RMSprop.
      decay: of the keys; this and ``key``, ``kappa``, ``policy``, ``resum`` and
        ``buffer_dtype`` as in ``critical_gradients``.
      key: what the priorities are.
      aggregate: ``"replace"``, as in the authors' newer code: from the second step on
        the present gradient acts through the buffer only, one step late. To keep it:
        ``"mean"``, as in their first code, or ``"sum"``, as in ``adam_cg``.
      kappa: weight of the buffer; 0 gives RMSprop. (Other values scale the step with
        the other aggregations only.)
      decay_rate: of the average of the squares, in [0, 1].
      eps: added to the root, outside of it.
      centered: divide by the standard deviation instead.
      momentum: weight of the past in a trace of the steps, in [0, 1]; ``None``: there
        is none, and no state for it.
      weight_decay: coupled decay, added to the aggregate.
      mask: leaves that decay; default all.
      policy: which entry makes room.
      resum: carry no running sum.
      buffer_dtype: type of the entries.

    Returns:
      An optimizer; its ``update`` takes ``params``.

    Raises:
      InputError: a name is unknown or a number is out of range.

    Gradient evaluations: 1 a step. Memory: 4 (C + 2) + 4 bytes per float32 parameter, 4
    more if centered and 4 more with momentum. Differentiable in all numbers but the
    keys' ``decay``, also at zero gradients.

    >>> import jax.numpy as jnp, jaxopt_lab
    >>> tx = jaxopt_lab.rmsprop_cg(0.01, decay_rate=0.75)
    >>> w = jnp.array(1.0)
    >>> updates, _ = tx.update(jnp.array(4.0), tx.init(w), w)
    >>> round(float(updates), 6)  # -0.01 * 4 / sqrt(0.25 * 16)
    -0.02

    References and code followed: see ``critical_gradients``.
    """
    links = [
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
        scale_by_rms(decay_rate, eps, centered=centered),
        step_size(learning_rate),
    ]
    if momentum is not None:
        links.insert(3, scale_by_momentum(momentum))
    return optax.chain(*links)
