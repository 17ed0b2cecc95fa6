"""The transformation around the kernel of LDAdam: arguments, schedules, leaves."""

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
    value_at,
)
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.per_leaf import per_leaf
from jaxopt_lab.core.typing import MaskOrFn, Params, ScalarOrSchedule
from jaxopt_lab.transforms.compressed.columns import static_mask
from jaxopt_lab.transforms.compressed.ldadam import kernel as ldadam_kernel
from jaxopt_lab.transforms.compressed.ldadam.kernel import How, StepScalars
from jaxopt_lab.transforms.compressed.ldadam.leaf import Error, Leaf, LeafState
from jaxopt_lab.transforms.compressed.low_rank import Layout, Side
from jaxopt_lab.transforms.compressed.storage import Store


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
        lift = per_leaf(
            ScaleByLDAdamState,
            LeafState,
            self._scalars,
            optimizer=None if self.learning_rate is None else "ldadam",
            mask=self.mask,
        )
        return lift(self._leaves)

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

    def _scalars(self, state: Any) -> StepScalars:
        """The hyper-parameters of a step, all arrays."""
        values = (self.b1, self.b2, self.eps, self.rho)
        now = [jnp.asarray(value_at(x, state.count)) for x in values]
        if self.learning_rate is None:
            return StepScalars(state.count, *now)
        rate, decay = (
            jnp.asarray(value_at(x, state.count))
            for x in (self.learning_rate, self.weight_decay)
        )
        return StepScalars(state.count, *now, rate=rate, decay=decay)
