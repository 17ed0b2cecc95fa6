"""TempBalance state, shared by its transform and its diagnostic."""

from __future__ import annotations

from typing import NamedTuple

import jax

from jaxopt_lab.core.typing import PyTree


class TempBalanceState(NamedTuple):
    """State of ``scale_by_temp_balance``: one scalar a leaf, whatever its size.

    Attributes:
      count: int32 scalar, number of updates so far; the argument of schedules.
      exponents: a tree like the parameters with a scalar for each leaf, float32 or
        better: the exponent of its layer, or 0 where the layer keeps the base rate.
    """

    count: jax.Array
    exponents: PyTree
