"""Masks and states of links that treat each leaf by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import numpy as np

from jaxopt_lab.core import moments, trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import MaskOrFn, Params, Scalar

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


def gathered(structure: Any, rows: Sequence[Sequence[Any]], width: int) -> list[Any]:
    """One tree for each column of what is kept of the leaves.

    Args:
      structure: structure of the parameters.
      rows: for each leaf, what is kept of it.
      width: number of columns, for trees without leaves.

    Returns:
      The trees.

    >>> gathered(jax.tree.structure({"a": 0, "b": 0}), [(1, 2), (3, 4)], 2)
    [{'a': 1, 'b': 3}, {'a': 2, 'b': 4}]
    """
    columns = zip(*rows, strict=True) if rows else [()] * width
    return [jax.tree.unflatten(structure, column) for column in columns]


class Adam(NamedTuple):
    """The numbers of one step of Adam.

    Attributes:
      count: int32, steps done, this one included.
      b1: decay of the first moment.
      b2: decay of the second.
      eps: added to the root.
    """

    count: jax.Array
    b1: Scalar
    b2: Scalar
    eps: Scalar

    def step(
        self, g: jax.Array, mu: jax.Array, nu: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """One step.

        Args:
          g: gradient, of any floating dtype.
          mu: first moment.
          nu: second moment.

        Returns:
          ``(direction, first moment, second moment)`` in the dtype of the moments.
        """
        mu = moments.average(mu, g, self.b1)
        nu = moments.average_of_squares(nu, g, self.b2)
        corrections = (
            moments.bias_correction(b, self.count, mu.dtype) for b in (self.b1, self.b2)
        )
        return moments.adam_direction(mu, nu, self.eps, *corrections), mu, nu
