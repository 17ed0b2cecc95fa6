"""The transformation around the kernel of MicroAdam: arguments and schedules."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, NamedTuple

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
from jaxopt_lab.core.explicit_axes import with_block_axes
from jaxopt_lab.core.per_leaf import per_leaf
from jaxopt_lab.core.typing import MaskOrFn, ScalarOrSchedule
from jaxopt_lab.transforms.compressed.block_top_k import check_block_size
from jaxopt_lab.transforms.compressed.microadam.kernel import Kernel, LeafState
from jaxopt_lab.transforms.compressed.microadam.scalars import (
    StepScalars,
    WindowScalars,
    window_scalars,
)
from jaxopt_lab.transforms.compressed.storage import Store


class ScaleByMicroAdamState(NamedTuple):
    """State of ``scale_by_microadam`` and ``microadam``.

    Each attribute but the count is a tree like the parameters. Together they take
    1/2 + 4 window density + 4 / quant_block bytes per float32 parameter.

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
    """The arguments of ``microadam``, and ``learning_rate=None`` for the link."""

    learning_rate: ScalarOrSchedule | None
    b1: ScalarOrSchedule
    b2: ScalarOrSchedule
    eps: ScalarOrSchedule
    weight_decay: ScalarOrSchedule
    densify: ScalarOrSchedule
    window: int
    density: float
    block_size: int
    quant_block: int
    window_bias_correction: bool
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
        moments.check_decay("b1", self.b1)
        moments.check_decay("b2", self.b2)
        check_non_negative("eps", self.eps)
        check_non_negative("weight_decay", self.weight_decay)
        check_unit("densify", self.densify)
        check_positive_count("window", self.window)
        check_block_size("block_size", self.block_size)
        check_positive_count("quant_block", self.quant_block)
        if not isinstance(self.density, int | float) or not 0 < self.density <= 1:
            raise InputError(f"density must lie in (0, 1]; got {self.density!r}")
        if self.store not in ("codes", "values"):
            raise errors.unknown("store", str(self.store), ("codes", "values"))
        if self.chunk is not None:
            check_positive_count("chunk", self.chunk)
        lift = per_leaf(
            ScaleByMicroAdamState,
            LeafState,
            self._scalars,
            optimizer=None if self.learning_rate is None else "microadam",
            mask=self.mask,
        )
        return lift(lambda params: [*map(self._leaf, jax.tree.leaves(params))])

    def _scalars(self, state: Any) -> StepScalars:
        count, rate = state.count, self.learning_rate
        dense = isinstance(self.densify, int | float) and self.densify == 0
        values = (self.b1, self.b2, self.eps, self.weight_decay)
        b1, b2, eps, decay = (jnp.asarray(value_at(x, count)) for x in values)
        return StepScalars(
            count,
            b1,
            b2,
            eps,
            decay,
            None if dense else jnp.asarray(value_at(self.densify, count)),
            None if rate is None else jnp.asarray(value_at(rate, count)),
        )

    def _leaf(self, leaf: jax.Array) -> _Leaf:
        kernel = Kernel(
            leaf.shape,
            trees.accumulation_dtype(leaf.dtype),
            self.window,
            self.density,
            self.block_size,
            self.quant_block,
            self.store,
            self.chunk,
        )
        return _Leaf(kernel, self.window_bias_correction)


class _Leaf(NamedTuple):
    """MicroAdam of one leaf, a ``LeafMethod``."""

    kernel: Kernel
    bias_window: bool

    def init(self, leaf: jax.Array) -> LeafState:
        init = functools.partial(_kernel_init, self.kernel)
        return with_block_axes(init, leaf, self.kernel.unit)(leaf)

    def update(
        self,
        g: jax.Array,
        state: LeafState,
        p: jax.Array | None,
        scalars: StepScalars,
        decays: Any = True,
        writes: bool = False,
    ) -> tuple[jax.Array, LeafState, jax.Array | None]:
        now = window_scalars(
            scalars, self.kernel.window, self.bias_window, self.kernel.dtype
        )
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
