"""Options of a buffer of past gradients or momenta, stated and checked once."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core import trees
from jaxopt_lab.core.checks import require_real, value_at
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import (
    COUNT_OR_ZERO,
    NON_NEGATIVE,
    UNIT,
    check_arguments,
)
from jaxopt_lab.core.typing import Params, PyTree, Scalar, ScalarOrSchedule, Updates
from jaxopt_lab.transforms.memory.buffer import (
    Policy,
    PriorityBuffer,
    admit,
    empty,
    key_dtype,
    offer,
    store,
)
from jaxopt_lab.transforms.memory.ordering import in_order, made_after
from jaxopt_lab.transforms.memory.stacked_rows import Rank, spread

PriorityName: TypeAlias = Literal["sum_of_norms", "per_leaf", "global_norm"]
# ``ScalarOrSchedule`` under another name, so that the battery does not expect an
# immediate effect: a decay shows only once entries of different age compete.
PriorityDecayScalar: TypeAlias = ScalarOrSchedule
AggregateName: TypeAlias = Literal[
    "sum",
    "mid",
    "mean",
    "min",
    "median",
    "max",
    "min-mean",
    "median-mean",
    "max-mean",
    "replace",
]


@dataclasses.dataclass(frozen=True)
class BufferOptions:
    """Options of a buffer, as all methods of the family take them.

    Attributes:
      capacity: number C of entries that are remembered; 0 gives the optimizer without
        a buffer. The authors use 5, 10 and 20.
      priority_decay: factor of all priorities after each step, in [0, 1]; a number, a
        traced scalar or a schedule of the number of updates. At 0.7 an entry seldom
        stays for longer than C steps; at 0.99 the buffer is selective. Derivatives
        by it are 0: which entries stay is piecewise constant.
      priority: norm of the gradient that decides which entries stay:
        ``"sum_of_norms"`` of the tensors, one decision for the whole tree;
        ``"global_norm"`` of the whole tree; ``"per_leaf"``, every tensor decides by
        its own norm.
      aggregate: operation that combines buffer and gradient.
      kappa: weight of the buffer, at least 0; number, traced scalar or schedule. 0
        gives the optimizer without a buffer.
      policy: ``"priority"``, the first entry of lowest priority makes room; or
        ``"fifo"``, the oldest.
      recompute_sum: add the entries up at every step instead of carrying their sum,
        whose rounding then never adds up: C reads of a tree more. Without effect on a
        buffer that is narrower than float32.
      buffer_dtype: type of the entries; default float32 or better. With bfloat16 the
        sums stay in float32.
    """

    _: dataclasses.KW_ONLY
    capacity: Annotated[int, COUNT_OR_ZERO] = 5
    priority_decay: Annotated[PriorityDecayScalar, UNIT] = 0.7
    priority: PriorityName = "sum_of_norms"
    aggregate: AggregateName = "sum"
    kappa: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 1.0
    policy: Policy = "priority"
    recompute_sum: bool = False
    buffer_dtype: DTypeLike | None = None

    def __post_init__(self) -> None:
        check_arguments(BufferOptions, vars(self))
        dtype = self.buffer_dtype
        if dtype is not None and not jnp.issubdtype(dtype, jnp.floating):
            raise InputError(
                f"buffer_dtype must be a floating type; got {jnp.dtype(dtype)}"
            )

    def start(self, params: Params, waits: bool = False) -> PriorityBuffer | None:
        """The buffer at the beginning; ``None`` if nothing is remembered."""
        if self.capacity == 0:
            return None
        if self.buffer_dtype is not None:
            name = jnp.dtype(self.buffer_dtype)
            require_real(f"a buffer with buffer_dtype={name}", params)
        rank = rank_of(self.aggregate)
        return empty(
            params,
            self.capacity,
            per_leaf=self.priority == "per_leaf",
            sums="none" if rank else "fresh" if self.recompute_sum else "running",
            chosen=rank is not None,
            waits=waits,
            dtype=self.buffer_dtype,
        )

    def weight_at(self, count: jax.Array) -> Scalar:
        """The weight of the buffer at a step."""
        return value_at(self.kappa, count)

    def mixed(
        self, buffer: PriorityBuffer | None, new: Updates, count: jax.Array
    ) -> Updates:
        """``new`` together with what the buffer holds, before it is stored."""
        if buffer is None:
            return new
        weight = self.weight_at(count)
        return combine(self.aggregate, new, buffer, weight)

    def stored(
        self,
        buffer: PriorityBuffer | None,
        entry: Updates,
        gradients: Updates,
        count: jax.Array,
        behind: Updates | None = None,
    ) -> PriorityBuffer | None:
        """The buffer after ``admit`` of an entry, its key the norm of gradients."""
        if buffer is None:
            return None
        return admit(
            buffer,
            entry,
            priority_of(gradients, self.priority),
            decay=value_at(self.priority_decay, count),
            policy=self.policy,
            rank=rank_of(self.aggregate),
            fresh=self.recompute_sum,
            behind=behind,
        )

    def offered(
        self, buffer: PriorityBuffer | None, gradients: Updates, count: jax.Array
    ) -> PriorityBuffer | None:
        """The buffer after ``offer`` of what the next step will store."""
        if buffer is None:
            return None
        key = priority_of(gradients, self.priority)
        decay = value_at(self.priority_decay, count)
        return offer(buffer, key, decay=decay, policy=self.policy)

    def caught_up(
        self, buffer: PriorityBuffer | None, entry: Updates, factor: Scalar
    ) -> tuple[PriorityBuffer | None, Updates, PyTree]:
        """The buffer after ``store`` of what the last step offered.

        Args:
          buffer: the buffer, or ``None``.
          entry: what was offered, unchanged.
          factor: the scalar by which the owner makes a new array of the entry.

        Returns:
          The buffer, the entry, and the scalar for every leaf: known to XLA once the
          entry has been read, so that the new array takes its memory.
        """
        factor = spread(jnp.asarray(factor), entry)
        if buffer is None:
            return None, entry, factor
        buffer = store(buffer, entry, fresh=self.recompute_sum)
        total = buffer.total
        return buffer, made_after(entry, total), in_order(factor, total)


def priority_of(gradients: Updates, name: PriorityName) -> PyTree:
    """The priority of a step.

    Args:
      gradients: a tree of arrays.
      name: ``"sum_of_norms"``: the sum of the norms of the tensors, one number for the
        whole tree (as the authors' code); ``"global_norm"``: the norm of all tensors
        together; ``"per_leaf"``: each tensor's own norm.

    Returns:
      A scalar, or a tree of scalars for ``"per_leaf"``; float32 or better.

    >>> tree = {"a": jnp.array([3.0]), "b": jnp.array([4.0])}
    >>> [float(priority_of(tree, n)) for n in ("sum_of_norms", "global_norm")]
    [7.0, 5.0]
    """
    if name == "global_norm":
        return trees.global_norm(gradients)
    norms = trees.leaf_norms(gradients)
    if name == "per_leaf":
        return norms
    dtype = key_dtype(gradients)
    return sum(
        (norm.astype(dtype) for norm in jax.tree.leaves(norms)), jnp.zeros((), dtype)
    )


def rank_of(name: AggregateName) -> Rank | None:
    """The rank of the one entry that an aggregation uses, if it uses only one.

    Args:
      name: the aggregation.

    Returns:
      ``"min"``, ``"median"``, ``"max"``, or ``None``.

    >>> rank_of("max-mean"), rank_of("mean")
    ('max', None)
    """
    first = name.partition("-")[0]
    return first if first in get_args(Rank) else None  # type: ignore[return-value]


def _weights(
    name: AggregateName, size: jax.Array, weight: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Factors of the gradient and of the sum of the entries (or of the chosen one)."""
    one = jnp.ones_like(weight)
    entries = jnp.maximum(size, 1).astype(weight.dtype)
    # Half of a gradient that is alone would be another optimizer than the plain one.
    alone = (size == 0) | (weight == 0)
    if name == "sum":
        return one, weight / entries
    if name == "mean":
        number = jnp.where(alone, 1, size.astype(weight.dtype) + 1)
        return 1 / number, weight / number
    if name == "replace":
        return jnp.where(alone, 1, 0 * one), weight / entries
    half = jnp.where(alone, 1, 0.5 * one)
    if name == "mid":
        return half, half * weight / entries
    return (half, half * weight) if name.endswith("-mean") else (one, weight)


def combine(
    name: AggregateName, new: Updates, buffer: PriorityBuffer, weight: Scalar
) -> Updates:
    """The aggregate of a new gradient and a buffer.

    Args:
      name: the aggregation; see ``critical_gradients``.
      new: the gradient.
      buffer: the buffer, without it.
      weight: weight of the buffer; at 0, and while the buffer is empty, the result is
        ``new``.

    Returns:
      A tree like ``new``, float32 or better.
    """
    stored = buffer.total if rank_of(name) is None else buffer.chosen

    def one(g: jax.Array, s: jax.Array) -> jax.Array:
        typed = jnp.asarray(weight, s.dtype)
        ours, theirs = _weights(name, buffer.size, typed)
        # A weight of 0 keeps a NaN in the gradient visible.
        return ours * g.astype(s.dtype) + theirs * s

    return jax.tree.map(one, new, stored)
