"""Masks that shape the program."""

from __future__ import annotations

from typing import TypeVar

import jax
import numpy as np

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import MaskOrFn, Params

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
