"""The transformation around the kernel of LDAdam: arguments, schedules, leaves."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core import trees
from jaxopt_lab.core.checks import value_at
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import (
    COUNT,
    DECAY,
    NON_NEGATIVE,
    UNIT,
    check_arguments,
)
from jaxopt_lab.core.per_leaf import per_leaf
from jaxopt_lab.core.typing import MaskOrFn, Params, ScalarOrSchedule
from jaxopt_lab.transforms.compressed.columns import static_mask
from jaxopt_lab.transforms.compressed.ldadam.chunks import CHUNK
from jaxopt_lab.transforms.compressed.ldadam.kernel import (
    Factorization,
    MomentScalars,
    Projector,
    ProjectorOptions,
    Start,
    StepScalars,
)
from jaxopt_lab.transforms.compressed.ldadam.leaf import Leaf
from jaxopt_lab.transforms.compressed.ldadam.matrix import LeafState
from jaxopt_lab.transforms.compressed.ldadam.options import Error
from jaxopt_lab.transforms.compressed.low_rank import Layout, Side


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
    """Options of ``ldadam`` and ``scale_by_ldadam``, and their steps.

    Attributes:
      rank: columns of P; at most the shorter side, see ``low_rank``.
      b1: decay of the first moment, in [0, 1); a number, a traced scalar or a schedule
        of the number of updates, as are all numbers below.
      b2: decay of the second, in [0, 1).
      eps: added to the root of the second moment, after the bias correction.
      rho: weight of the past in the search for the subspace, in [0, 1].
      error: how E is kept: ``"float32"`` (float64 for float64 parameters),
        ``"bfloat16"``, ``"4-bit"`` (between minimum and maximum of 64 elements), or
        ``"none"``: no error feedback.
      projector: ``"std"``, one power iteration from P'; ``"svd"``, the left singular
        vectors of A.
      start: the first P: ``"power"``, four power iterations from a fixed basis; or
        ``"svd"`` of the first gradient, as the official code. The space that the
        decomposition needs then counts in the program of every step.
      side: which side is projected: ``"smaller"`` (the rows of a square matrix),
        ``"left"`` (rows) or ``"right"`` (columns). The kernel of a Flax layer is the
        transpose of a torch weight, so a square one needs ``"right"`` to be treated
        as there.
      factorization: ``"qr"``; or ``"cholesky"``, which needs no gathering of a sharded
        matrix but full-rank gradients.
      low_rank: which leaves are projected: a tree of booleans or a function of the
        parameters that gives one. Default: matrices and kernels whose sides are both
        above ``rank``. All others are dense: Adam with the same decays. A chosen
        matrix with a smaller side gets that as its rank. The paper leaves embeddings,
        heads and norms dense.
      stacked: leaves whose first axis counts equal layers (``nn.scan``), each a matrix
        by itself. Default: none.
      straight_through: keep a rounded error as numbers, so that its derivative passes
        straight through: the same trajectory, no memory saved.
      chunk: elements that are updated at a time on CPU; ``None`` for whole matrices,
        which other devices always take.
      learning_rate: step size; ``None`` for the link.
      weight_decay: decoupled decay, times the step size.
      mask: which parameters decay: a tree of booleans or a function of the parameters
        that gives one. Default: all.
    """

    _: dataclasses.KW_ONLY
    rank: Annotated[int, COUNT] = 16
    b1: Annotated[ScalarOrSchedule, DECAY] = 0.908
    b2: Annotated[ScalarOrSchedule, DECAY] = 0.99
    eps: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 1e-8
    rho: Annotated[ScalarOrSchedule, UNIT] = 0.908
    error: Error = "float32"
    projector: Projector = "std"
    start: Start = "power"
    side: Side = "smaller"
    factorization: Factorization = "qr"
    low_rank: MaskOrFn | None = None
    stacked: MaskOrFn | None = None
    straight_through: bool = False
    chunk: Annotated[int | None, COUNT] = CHUNK
    learning_rate: Annotated[ScalarOrSchedule | None, NON_NEGATIVE] = None
    weight_decay: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 0.0
    mask: MaskOrFn | None = None

    def __post_init__(self) -> None:
        check_arguments(LDAdam, vars(self))

    def transformation(self) -> optax.GradientTransformationExtraArgs:
        """The transformation."""
        lift = per_leaf(
            ScaleByLDAdamState,
            LeafState,
            self._scalars,
            optimizer=None if self.learning_rate is None else "ldadam",
            mask=self.mask,
            real="ldadam",
        )
        return lift(self._leaves)

    def _leaves(self, params: Params) -> list[Leaf]:
        """The method of each leaf."""
        with_path = trees.leaves_with_path(params)
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
                    ProjectorOptions(self.projector, self.start, self.factorization),
                    self.straight_through,
                    self.chunk,
                )
            )
        return made

    def _scalars(self, state: Any) -> StepScalars:
        """The hyper-parameters of a step, all arrays."""
        count = state.count
        *decays, rho = (
            jnp.asarray(value_at(x, count))
            for x in (self.b1, self.b2, self.eps, self.rho)
        )
        shared = MomentScalars.of(count, *decays)
        if self.learning_rate is None:
            return StepScalars(count, rho, shared)
        rate, decay = (
            jnp.asarray(value_at(x, count))
            for x in (self.learning_rate, self.weight_decay)
        )
        return StepScalars(count, rho, shared, rate, decay)
