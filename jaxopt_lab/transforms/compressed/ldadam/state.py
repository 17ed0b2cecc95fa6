"""The transformation around the kernel of LDAdam: trees, schedules, the door."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple, get_args

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core import errors, moments, trees
from jaxopt_lab.core.checks import (
    check_non_negative,
    check_positive_count,
    check_unit,
    increment,
    value_at,
)
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import MaskOrFn, Params, ScalarOrSchedule, Updates
from jaxopt_lab.transforms.compressed.columns import gathered, static_mask
from jaxopt_lab.transforms.compressed.ldadam import kernel as ldadam_kernel
from jaxopt_lab.transforms.compressed.ldadam.kernel import How, Numbers
from jaxopt_lab.transforms.compressed.ldadam.leaf import Error, Kept, Leaf, Pace
from jaxopt_lab.transforms.compressed.low_rank import Layout, Side
from jaxopt_lab.transforms.compressed.slots import Store


class ScaleByLDAdamState(NamedTuple):
    """State of ``scale_by_ldadam`` and ``ldadam``.

    Each attribute but the count is a tree like the parameters. For a matrix of which
    the side p is projected and the side q is not; a stack of matrices has one more
    axis in front. Where there is nothing to keep, a zero stands in.

    Attributes:
      count: int32, number of updates so far.
      projector: ``(p, rank)``, the basis; float32 or better, as are the moments.
      mu: ``(rank, q)``, first moment in the subspace; of a dense leaf its own.
      nu: likewise the second moment.
      error: of a matrix, what the subspace does not hold: float32, bits of bfloat16
        as uint16, or two 4-bit codes in a uint8.
      low: with 4 bits, the minimum of each block of 64, bits of bfloat16; float64 for
        float64 parameters.
      high: likewise the maximum.
    """

    count: jax.Array
    projector: Any
    mu: Any
    nu: Any
    error: Any
    low: Any
    high: Any


@dataclasses.dataclass(frozen=True)
class LDAdam:
    """The arguments of ``ldadam``, and ``learning_rate=None`` for the link."""

    learning_rate: ScalarOrSchedule | None
    rank: int
    b1: ScalarOrSchedule
    b2: ScalarOrSchedule
    eps: ScalarOrSchedule
    rho: ScalarOrSchedule
    weight_decay: ScalarOrSchedule
    error: Error
    side: Side
    how: How
    low_rank: MaskOrFn | None
    stacked: MaskOrFn | None
    mask: MaskOrFn | None
    store: Store
    chunk: int | None

    def transformation(self) -> optax.GradientTransformationExtraArgs:
        """The transformation.

        Returns:
          It.

        Raises:
          InputError: an argument is out of range or unknown.
        """
        check_positive_count("rank", self.rank)
        moments.check_decay("b1", self.b1)
        moments.check_decay("b2", self.b2)
        check_non_negative("eps", self.eps)
        check_unit("rho", self.rho)
        check_non_negative("weight_decay", self.weight_decay)
        if self.chunk is not None:
            check_positive_count("chunk", self.chunk)
        for name, value, accepted in (
            ("error", self.error, get_args(Error)),
            ("side", self.side, get_args(Side)),
            ("projector", self.how.projector, get_args(ldadam_kernel.Projector)),
            ("start", self.how.start, get_args(ldadam_kernel.Start)),
            (
                "factorization",
                self.how.factorization,
                get_args(ldadam_kernel.Factorization),
            ),
            ("store", self.store, get_args(Store)),
        ):
            if value not in accepted:
                raise errors.unknown(name, str(value), accepted)
        return optax.GradientTransformationExtraArgs(self._init, self._update)

    def _leaves(self, params: Params) -> list[Leaf]:
        """How each leaf is treated."""
        with_path = jax.tree.leaves_with_path(params)
        stacked = static_mask(self.stacked, params, "stacked", default=False)
        chosen = static_mask(self.low_rank, params, "low_rank", default=None)
        made = []
        for (path, leaf), stack, low in zip(with_path, stacked, chosen, strict=True):
            layout = Layout.of(leaf.shape, stack, self.side)
            if low and not layout.is_matrix:
                raise InputError(
                    f"low_rank chose {trees.path_name(path)}, of shape {leaf.shape}, "
                    "which is no matrix"
                )
            if low is None:
                low = layout.is_matrix and min(layout.matrix) > self.rank
            dtype = trees.accumulation_dtype(leaf.dtype)
            made.append(
                Leaf(
                    layout,
                    dtype,
                    low,
                    self.rank,
                    self.error,
                    self.how,
                    self.store,
                    self.chunk,
                )
            )
        return made

    def _init(self, params: Params) -> Any:
        structure = jax.tree.structure(params)
        pairs = zip(self._leaves(params), jax.tree.leaves(params), strict=True)
        kept = [leaf.init(p) for leaf, p in pairs]
        columns = gathered(structure, kept, len(Kept._fields))
        return ScaleByLDAdamState(jnp.zeros((), jnp.int32), *columns)

    def _update(
        self,
        updates: Updates,
        state: Any,
        params: Params | None = None,
        *,
        door: Any = None,
        **extra: Any,
    ) -> tuple[Updates, Any]:
        del extra
        if params is None and self.learning_rate is not None:
            raise InputError("ldadam needs params: the weight decay acts on them")
        leaves = self._leaves(updates if params is None else params)
        if self.learning_rate is None:
            params = door = None
        grads, structure = jax.tree.flatten(updates)
        weights = [None] * len(grads) if params is None else jax.tree.leaves(params)
        decays = [True] * len(grads)
        if params is not None:
            decays = jax.tree.leaves(trees.resolve_mask(self.mask, params))
        columns = [jax.tree.leaves(tree) for tree in state[1:]]
        numbers = Numbers(
            state.count,
            *(value_at(x, state.count) for x in (self.b1, self.b2, self.eps, self.rho)),
        )
        offers = door is not None and params is not None
        moved, offered, kept = [], [], []
        for leaf, g, p, decay, *arrays in zip(
            leaves, grads, weights, decays, *columns, strict=True
        ):
            pace = None
            if self.learning_rate is not None:
                rate, pull = (
                    jnp.asarray(value_at(x, state.count), leaf.dtype)
                    for x in (self.learning_rate, self.weight_decay)
                )
                pace = Pace(rate, pull * jnp.asarray(decay, leaf.dtype))
            u, new, now = leaf.update(g, p, Kept(*arrays), numbers, pace, offers)
            moved.append(u)
            offered.append(new)
            kept.append(now)
        result = jax.tree.unflatten(structure, moved)
        if door is not None and params is not None:
            door.offer(result, params, jax.tree.unflatten(structure, offered))
        count = increment(state.count)
        columns = gathered(structure, kept, len(Kept._fields))
        return result, ScaleByLDAdamState(count, *columns)
