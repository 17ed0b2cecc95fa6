"""The transformation around the kernel of MicroAdam: arguments and schedules."""

from __future__ import annotations

import dataclasses
import functools
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core import trees
from jaxopt_lab.core.checks import value_at
from jaxopt_lab.core.explicit_axes import with_block_axes
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.options import (
    COUNT,
    DECAY,
    NON_NEGATIVE,
    SHARE,
    STATIC,
    UNIT,
    Interval,
    check_arguments,
)
from jaxopt_lab.core.per_leaf import per_leaf
from jaxopt_lab.core.typing import MaskOrFn, ScalarOrSchedule
from jaxopt_lab.transforms.compressed.block_top_k import LARGEST_BLOCK, Density
from jaxopt_lab.transforms.compressed.chunks import CHUNK
from jaxopt_lab.transforms.compressed.microadam.kernel import Kernel, LeafState
from jaxopt_lab.transforms.compressed.microadam.scalars import (
    StepScalars,
    WindowScalars,
    window_scalars,
)
from jaxopt_lab.transforms.compressed.min_max import MinMax4


class ScaleByMicroAdamState(NamedTuple):
    """State of ``scale_by_microadam`` and ``microadam``.

    Each attribute but the count is a tree like the parameters; their bytes are those of
    ``scale_by_microadam``.

    Attributes:
      count: int32, number of updates so far.
      indices: int16 ``(blocks, window, picks)``, places of the entries in the blocks.
      values: uint16 of the same shape, the entries as bits of bfloat16; float64 for
        float64 parameters.
      error: uint8, two 4-bit codes each: what the window does not hold.
      low: uint16, bits of bfloat16, the minimum of each block of the error; float64
        for float64 parameters.
      high: likewise the maximum.
    """

    count: jax.Array
    indices: Any
    values: Any
    error: Any
    low: Any
    high: Any


@dataclasses.dataclass(frozen=True)
class MicroAdam:
    r"""Options of ``microadam`` and ``scale_by_microadam``, and their steps.

    Attributes:
      window: w, steps that the moments are computed from.
      density: share of every block that is taken out, rounded up to whole elements;
        in (0, 1].
      block_size: elements in a block, at most 32767, consecutive ones of the flattened
        tensor. A smaller tensor is one block, the last one of a larger may be short.
      quant_block: elements that share a range of the error.
      b1: decay in the first moment, in [0, 1); a number, a traced scalar or a schedule
        of the number of updates, as are all numbers below.
      b2: decay in the second, in [0, 1).
      eps: added to the root of the second moment.
      densify: share of the decoded error, in [0, 1], that is added to u and taken
        from the error: for training from scratch, where an update of a few
        coordinates of each block is slow.
      window_bias_correction: divide by :math:`1 - b^{\min(t, w)}`, the weight that
        the window holds.
      straight_through: keep the rounded numbers themselves, for differentiation in
        float32: the same trajectory, no memory saved, and the derivative passes
        straight through the rounding.
      chunk: elements that are updated at a time on CPU and, about as many, on a TPU;
        ``None`` for whole tensors.
      learning_rate: step size; ``None`` for the link.
      weight_decay: decoupled decay, times the step size.
      mask: which parameters decay: a tree of booleans or a function of the parameters
        that gives one. Default: all.
    """

    _: dataclasses.KW_ONLY
    window: Annotated[int, COUNT] = 10
    density: Annotated[Density, SHARE, STATIC] = 0.01
    block_size: Annotated[int, Interval(1, LARGEST_BLOCK)] = 4096
    quant_block: Annotated[int, COUNT] = 64
    b1: Annotated[ScalarOrSchedule, DECAY] = 0.9
    b2: Annotated[ScalarOrSchedule, DECAY] = 0.999
    eps: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 1e-8
    densify: Annotated[ScalarOrSchedule, UNIT] = 0.0
    window_bias_correction: bool = False
    straight_through: bool = False
    chunk: Annotated[int | None, COUNT] = CHUNK
    learning_rate: Annotated[ScalarOrSchedule | None, NON_NEGATIVE] = None
    weight_decay: Annotated[ScalarOrSchedule, NON_NEGATIVE] = 0.0
    mask: MaskOrFn | None = None

    def __post_init__(self) -> None:
        check_arguments(MicroAdam, vars(self))

    def transformation(self) -> optax.GradientTransformationExtraArgs:
        """The transformation."""
        lift = per_leaf(
            ScaleByMicroAdamState,
            LeafState,
            self._scalars,
            optimizer=None if self.learning_rate is None else "microadam",
            mask=self.mask,
            real="microadam",
        )
        return lift(lambda params: [*map(self._leaf, jax.tree.leaves(params))])

    def _scalars(self, state: Any) -> dict[str, WindowScalars]:
        """Those of a step for each type that a leaf may be computed in.

        Once a step: for each leaf they would be a seventh of what there is to compile.
        """
        now = self._now(state)
        wide = jax.dtypes.canonicalize_dtype(float) == jnp.float64
        kinds = ("float32", "float64") if wide else ("float32",)
        corrects = self.window_bias_correction
        return {x: window_scalars(now, self.window, corrects, x) for x in kinds}

    def _now(self, state: Any) -> StepScalars:
        count, rate = state.count, self.learning_rate
        share = self.densify
        dense = known_number(share) == 0
        values = (self.b1, self.b2, self.eps, self.weight_decay)
        b1, b2, eps, decay = (jnp.asarray(value_at(x, count)) for x in values)
        return StepScalars(
            count,
            b1,
            b2,
            eps,
            decay,
            None if dense else jnp.asarray(value_at(share, count)),
            None if rate is None else jnp.asarray(value_at(rate, count)),
        )

    def _leaf(self, leaf: jax.Array) -> _Leaf:
        kernel = Kernel(
            leaf.shape,
            trees.accumulation_dtype(leaf.dtype),
            self.window,
            self.density,
            self.block_size,
            MinMax4(self.quant_block),
            self.straight_through,
            self.chunk,
        )
        return _Leaf(kernel)


class _Leaf(NamedTuple):
    """MicroAdam of one leaf, a ``LeafMethod``."""

    kernel: Kernel

    def init(self, leaf: jax.Array) -> LeafState:
        init = functools.partial(_kernel_init, self.kernel)
        return with_block_axes(init, leaf, self.kernel.unit)(leaf)

    def joined(self, number: int) -> _Leaf | None:
        """The method of some of these leaves end to end, if they are few and small."""
        kernel = self.kernel.joined(number)
        return None if kernel is None else self._replace(kernel=kernel)

    def update(
        self,
        g: jax.Array,
        state: LeafState,
        p: jax.Array | None,
        scalars: dict[str, WindowScalars],
        decays: Any = True,
        writes: bool = False,
    ) -> tuple[jax.Array, LeafState, jax.Array | None]:
        now = scalars[jnp.dtype(self.kernel.dtype).name]
        return _kernel_step(self.kernel, writes, g, p, state, now, jnp.asarray(decays))


# Without jit around them each of their operations would be compiled by itself.
@functools.partial(jax.jit, static_argnums=0, inline=True, keep_unused=True)
def _kernel_init(kernel: Kernel, leaf: jax.Array) -> LeafState:
    del leaf  # It says on which devices.
    return kernel.init()


@functools.partial(jax.jit, static_argnums=(0, 1), inline=True)
def _kernel_step(
    kernel: Kernel,
    writes: bool,
    g: jax.Array,
    p: jax.Array | None,
    stored: LeafState,
    scalars: WindowScalars,
    decays: jax.Array,
) -> tuple[jax.Array, LeafState, jax.Array | None]:
    u, new, stored = kernel.update(g, p, stored, scalars, decays, writes)
    return u, stored, new
