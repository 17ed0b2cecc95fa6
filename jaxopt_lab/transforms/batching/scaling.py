"""Learning rates and schedules for another batch size than they were found with."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Literal, cast

import jax
import optax

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, NON_NEGATIVE, check_arguments
from jaxopt_lab.core.typing import ScalarOrSchedule


def scale_lr(
    learning_rate: Annotated[ScalarOrSchedule, NON_NEGATIVE],
    batch: Annotated[int, COUNT],
    base_batch: Annotated[int, COUNT],
    *,
    rule: Literal["linear", "sqrt"] = "linear",
    saturation_batch: Annotated[int, COUNT] | None = None,
) -> ScalarOrSchedule:
    r"""A learning rate that was found at one batch size, for another.

    .. math:: \eta' = \eta \, s \ (\text{linear}), \qquad \eta' = \eta \sqrt{s}
        \ (\text{sqrt}), \qquad s = \min(B, B_{sat}) / B_0

    The linear rule is that of stochastic gradient descent as long as its largest stable
    rate grows with the batch, the root that of adaptive methods, and of stochastic
    gradient descent by the size of its noise.

    Args:
      learning_rate: the rate at ``base_batch``; a number, traced scalar or schedule.
      batch: the examples of a step now.
      base_batch: those that the rate was found with.
      rule: ``"linear"`` or ``"sqrt"``.
      saturation_batch: the batch from which on the rate grows no more, where the batch
        Hessian's largest eigenvalue is that of the whole Hessian; ``None``: never.

    Returns:
      A number or traced scalar, or a schedule of the same argument.

    Raises:
      InputError: an argument is out of range.

    >>> scale_lr(0.1, 1024, 256), scale_lr(0.1, 1024, 256, rule="sqrt")
    (0.4, 0.2)

    Source: Hoffer, Hubara and Soudry, "Train longer, generalize better", NeurIPS 2017
    (the root); Granziol, Zohren and Roberts, "Learning Rates as a Function of Batch
    Size: A Random Matrix Theory Approach", JMLR 2022 (the saturation; from memory, the
    text could not be opened).
    """
    check_arguments(scale_lr, locals())
    grown = batch if saturation_batch is None else min(batch, saturation_batch)
    factor = grown / base_batch
    if rule == "sqrt":
        factor = math.sqrt(factor)
    if callable(learning_rate):
        schedule = cast(Callable[[jax.Array], jax.Array], learning_rate)
        return lambda count: schedule(count) * factor
    return learning_rate * factor


def regime_adaptation(
    schedule: optax.Schedule, batch: int, base_batch: int
) -> optax.Schedule:
    r"""A schedule of epochs, stretched so that a larger batch takes as many steps.

    With :math:`k = \lceil B / B_0 \rceil`, epoch e of the new schedule is epoch
    :math:`e / k` of the old one: every boundary, and the end, come k times as late.

    Args:
      schedule: function of the epoch, a number that need not be whole.
      batch: the examples of a step now.
      base_batch: those that the schedule was made for.

    Returns:
      The schedule; train k times as many epochs.

    Raises:
      InputError: a batch is no whole number of at least 1.

    >>> halved = lambda epoch: 0.1 * 0.5 ** (epoch // 30)
    >>> later = regime_adaptation(halved, 1024, 256)
    >>> float(later(119)), float(later(120))
    (0.1, 0.05)

    Source: Hoffer, Hubara and Soudry, "Train longer, generalize better", NeurIPS 2017;
    eladhoffer/bigBatch.
    """
    for name, value in (("batch", batch), ("base_batch", base_batch)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InputError(
                f"{name} must be a whole number of at least 1; got {value}"
            )
    factor = -(-batch // base_batch)
    return lambda epoch: schedule(epoch / factor)
