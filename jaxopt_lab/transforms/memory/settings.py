"""How a method remembers: the buffer's options in one place, checked once."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeAlias, get_args

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core import errors
from jaxopt_lab.core.checks import check_non_negative, check_unit, value_at
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import Params, Scalar, ScalarOrSchedule, Updates
from jaxopt_lab.transforms.memory import aggregates
from jaxopt_lab.transforms.memory.aggregates import AggregateName
from jaxopt_lab.transforms.memory.buffer import Policy, PriorityBuffer, admit, empty
from jaxopt_lab.transforms.memory.keys import KeyName, check_key, key_of

# A schedule is accepted, but a name of its own keeps those who read annotations from
# expecting it to act at once: the decay tells only when keys of different age meet.
KeyDecayScalar: TypeAlias = ScalarOrSchedule


@dataclasses.dataclass(frozen=True)
class Memory:
    """A buffer's options.

    Attributes:
      capacity: number of entries; 0: nothing is remembered.
      decay: factor of all keys after each step, a number, traced scalar or schedule.
      key: what the priorities are.
      aggregate: how entries and gradient become one.
      kappa: weight of the entries, a number, traced scalar or schedule.
      policy: which entry makes room.
      resum: add the entries up anew instead of carrying their sum.
      dtype: type of the entries; ``None``: float32 or better.
    """

    capacity: int
    decay: ScalarOrSchedule
    key: KeyName = "global"
    aggregate: AggregateName = "sum"
    kappa: ScalarOrSchedule = 1.0
    policy: Policy = "priority"
    resum: bool = False
    dtype: DTypeLike | None = None

    def __post_init__(self) -> None:
        _check_capacity(self.capacity)
        check_unit("decay", self.decay)
        check_non_negative("kappa", self.kappa)
        check_key(self.key)
        aggregates.check_aggregate(self.aggregate)
        if self.policy not in get_args(Policy):
            raise errors.unknown("policy", self.policy, get_args(Policy))
        floating = self.dtype is None or jnp.issubdtype(self.dtype, jnp.floating)
        if not floating:
            raise InputError(
                f"buffer_dtype must be a floating type; got {jnp.dtype(self.dtype)}"
            )

    def start(self, params: Params) -> PriorityBuffer | None:
        """The buffer at the beginning; ``None`` if nothing is remembered."""
        if self.capacity == 0:
            return None
        rank = aggregates.rank_of(self.aggregate)
        return empty(
            params,
            self.capacity,
            per_leaf=self.key == "per_leaf",
            sums="none" if rank else "fresh" if self.resum else "running",
            chosen=rank is not None,
            dtype=self.dtype,
        )

    def weight_at(self, count: jax.Array) -> Scalar:
        """kappa at a step."""
        return value_at(self.kappa, count)

    def mixed(
        self, buffer: PriorityBuffer | None, new: Updates, count: jax.Array
    ) -> Updates:
        """``new`` together with what the buffer holds, before it is stored."""
        if buffer is None:
            return new
        kappa = self.weight_at(count)
        return aggregates.combine(self.aggregate, new, buffer, kappa)

    def stored(
        self,
        buffer: PriorityBuffer | None,
        entry: Updates,
        gradients: Updates,
        count: jax.Array,
    ) -> PriorityBuffer | None:
        """The buffer after an entry was offered with the key of these gradients."""
        if buffer is None:
            return None
        return admit(
            buffer,
            entry,
            key_of(gradients, self.key),
            decay=value_at(self.decay, count),
            policy=self.policy,
            rank=aggregates.rank_of(self.aggregate),
        )


def _check_capacity(value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise InputError(
            f"capacity must be a whole number of at least 0; got {value!r}"
        )
