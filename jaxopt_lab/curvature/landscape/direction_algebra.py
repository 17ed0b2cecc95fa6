"""Checks and lengths of directions."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import Params, PyTree


def check_like(tree: PyTree, params: Params, name: str) -> None:
    """Refuse a tree that has other paths or shapes than the parameters.

    Args:
      tree: the tree given; its dtypes do not matter.
      params: the parameters.
      name: name of the argument, for the message.

    Raises:
      InputError: names the first paths that differ.
    """
    expected, got = (
        jax.tree.map(lambda x: jax.ShapeDtypeStruct(jnp.shape(x), np.float32), t)
        for t in (params, tree)
    )
    lines = trees.differences(expected, got)
    if lines:
        raise InputError(f"{name} does not fit the parameters: {trees.summary(lines)}")


def wide_dtype(x: Any) -> jnp.dtype:
    """The dtype in which an array or number is summed.

    Args:
      x: an array or a number.

    Returns:
      float64 for float64, else float32.
    """
    return trees.accumulation_dtype(jnp.result_type(x))


def wide(x: Any) -> Array:
    """An array in float32 or better; those that are not floating as they are.

    Args:
      x: an array or a number.

    Returns:
      The array.
    """
    x = jnp.asarray(x)
    return x.astype(wide_dtype(x)) if trees.is_floating(x) else x


def rescaled(tree: Params, length: Array, norm: Array) -> Params:
    """A tree rescaled from one norm to another; zero where its norm is zero.

    Args:
      tree: arrays, float32 or better; leaves that are not floating stay.
      length: the new norm.
      norm: its current norm.

    Returns:
      ``tree * length / norm``.
    """
    factor = trees.safe_divide(length.astype(norm.dtype), norm)
    return jax.tree.map(
        lambda x: x * factor.astype(x.dtype) if trees.is_floating(x) else x, tree
    )
