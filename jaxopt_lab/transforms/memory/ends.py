"""What stands at the end of the chains: weight decay and the step size."""

from __future__ import annotations

from typing import Any, cast

import optax

from jaxopt_lab.core.checks import check_non_negative
from jaxopt_lab.core.typing import MaskOrFn, ScalarOrSchedule


def decayed_weights(
    weight_decay: ScalarOrSchedule, mask: MaskOrFn | None
) -> optax.GradientTransformation:
    """``optax.add_decayed_weights``, the strength checked.

    Args:
      weight_decay: factor of the parameters that are added.
      mask: which leaves; default all.

    Returns:
      A link.

    Raises:
      InputError: ``weight_decay`` is negative.
    """
    check_non_negative("weight_decay", weight_decay)
    # Our schedules take arrays, optax's take numbers too.
    return optax.add_decayed_weights(cast(Any, weight_decay), mask)


def step_size(learning_rate: ScalarOrSchedule) -> optax.GradientTransformation:
    """``optax.scale_by_learning_rate``, the rate checked.

    Args:
      learning_rate: what the direction is multiplied by, besides -1.

    Returns:
      A link.

    Raises:
      InputError: ``learning_rate`` is negative.
    """
    check_non_negative("learning_rate", learning_rate)
    return optax.scale_by_learning_rate(cast(Any, learning_rate))
