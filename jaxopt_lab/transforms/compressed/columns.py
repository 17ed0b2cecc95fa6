"""Static masks, and optimizers made of a direction."""

from __future__ import annotations

from typing import Any, TypeVar, cast

import jax
import numpy as np
import optax

from jaxopt_lab.core import trees
from jaxopt_lab.core.checks import check_non_negative
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import MaskOrFn, Params, ScalarOrSchedule

D = TypeVar("D")


def static_mask(
    mask: MaskOrFn | None, params: Params, name: str, default: D
) -> list[bool | D]:
    """A mask that shapes the program, leaf by leaf.

    Args:
      mask: a tree of booleans, or a function of the parameters that gives one.
      params: the parameters.
      name: what to call the argument in an error.
      default: for every leaf, where the mask is ``None``.

    Returns:
      A boolean for each leaf, or the default.

    Raises:
      InputError: it does not fit, or is only known when the program runs.

    >>> static_mask({"a": True, "b": False}, {"a": 1.0, "b": 2.0}, "stacked", False)
    [True, False]
    """
    if mask is None:
        return [default] * len(jax.tree.leaves(params))
    values = jax.tree.leaves(trees.resolve_mask(mask, params, name))
    for value in values:
        if not isinstance(value, bool | np.bool_):
            raise InputError(f"{name} must be known when the program is traced")
    return [bool(value) for value in values]


def optimizer(
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
    check_non_negative("learning_rate", learning_rate)
    check_non_negative("weight_decay", weight_decay)
    return optax.chain(
        link,
        # Our schedules take arrays, optax's take numbers too.
        optax.add_decayed_weights(cast(Any, weight_decay), mask),
        optax.scale_by_learning_rate(cast(Any, learning_rate)),
    )
