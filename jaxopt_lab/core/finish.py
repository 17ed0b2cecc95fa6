"""Weight decay and learning-rate scaling with checked arguments."""

from __future__ import annotations

from typing import Annotated, Any, cast

import optax

from jaxopt_lab.core.options import NON_NEGATIVE, check_arguments
from jaxopt_lab.core.tree_paths import resolve_mask
from jaxopt_lab.core.typing import MaskOrFn, ScalarOrSchedule


def decayed_weights(
    weight_decay: Annotated[ScalarOrSchedule, NON_NEGATIVE], mask: MaskOrFn | None
) -> optax.GradientTransformation:
    """``optax.add_decayed_weights``, the strength checked.

    Args:
      weight_decay: factor of the parameters that are added.
      mask: which leaves; default all.

    Returns:
      A link.

    Raises:
      InputError: ``weight_decay`` is negative; (at ``init``) the mask does not fit.
    """
    check_arguments(decayed_weights, locals())
    # Our schedules take arrays, optax's take numbers too.
    fitting = mask if mask is None else lambda params: resolve_mask(mask, params)
    return optax.add_decayed_weights(cast(Any, weight_decay), fitting)


def step_size(
    learning_rate: Annotated[ScalarOrSchedule, NON_NEGATIVE],
) -> optax.GradientTransformation:
    """``optax.scale_by_learning_rate``, the rate checked.

    Args:
      learning_rate: factor of the direction, besides -1.

    Returns:
      A link.

    Raises:
      InputError: ``learning_rate`` is negative.
    """
    check_arguments(step_size, locals())
    return optax.scale_by_learning_rate(cast(Any, learning_rate))


def finished(
    link: optax.GradientTransformation,
    learning_rate: ScalarOrSchedule,
    weight_decay: ScalarOrSchedule,
    mask: MaskOrFn | None,
) -> optax.GradientTransformationExtraArgs:
    """A direction, a decoupled weight decay and a step size.

    Args:
      link: gives the direction.
      learning_rate: step size; a number, a traced scalar or a schedule.
      weight_decay: decay, times the step size.
      mask: which parameters decay. Default: all.

    Returns:
      The chain.

    Raises:
      InputError: a number is negative.
    """
    decay = decayed_weights(weight_decay, mask)
    return optax.chain(link, decay, step_size(learning_rate))
