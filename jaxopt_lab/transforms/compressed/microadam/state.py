"""The transformation around the kernel of MicroAdam: trees, schedules, the door."""

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
    increment,
    value_at,
)
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import MaskOrFn, Params, ScalarOrSchedule, Updates
from jaxopt_lab.transforms.compressed.block_top_k import check_block_size
from jaxopt_lab.transforms.compressed.columns import gathered
from jaxopt_lab.transforms.compressed.explicit_axes import automatic, storing
from jaxopt_lab.transforms.compressed.microadam.kernel import Kernel, Stored
from jaxopt_lab.transforms.compressed.microadam.numbers import Numbers, step_numbers
from jaxopt_lab.transforms.compressed.slots import Store


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
        return optax.GradientTransformationExtraArgs(self._init, self._update)

    def _kernel(self, leaf: jax.Array) -> Kernel:
        return Kernel(
            leaf.shape,
            trees.accumulation_dtype(leaf.dtype),
            self.window,
            self.density,
            self.block_size,
            self.quant_block,
            self.store,
            self.chunk,
        )

    def _init(self, params: Params) -> Any:
        leaves, structure = jax.tree.flatten(params)
        kept = [self._empty(p) for p in leaves]
        columns = gathered(structure, kept, len(Stored._fields))
        return ScaleByMicroAdamState(jnp.zeros((), jnp.int32), *columns)

    def _empty(self, leaf: jax.Array) -> Stored:
        kernel = self._kernel(leaf)
        init = functools.partial(_kernel_init, kernel)
        return storing(init, leaf, kernel.unit)(leaf)

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
            raise InputError("microadam needs params: the weight decay acts on them")
        if self.learning_rate is None:
            params = door = None
        grads, structure = jax.tree.flatten(updates)
        weights = [None] * len(grads) if params is None else jax.tree.leaves(params)
        decays = [True] * len(grads)
        if params is not None:
            decays = jax.tree.leaves(trees.resolve_mask(self.mask, params))
        trees_kept = [jax.tree.leaves(tree) for tree in state[1:]]
        moved, offered, kept = [], [], []
        for g, p, decay, *arrays in zip(
            grads, weights, decays, *trees_kept, strict=True
        ):
            u, new, stored = self._tensor(
                g, p, decay, Stored(*arrays), state.count, door is not None
            )
            moved.append(u)
            offered.append(new)
            kept.append(stored)
        result = jax.tree.unflatten(structure, moved)
        if door is not None and params is not None:
            door.offer(result, params, jax.tree.unflatten(structure, offered))
        count = increment(state.count)
        columns = gathered(structure, kept, len(Stored._fields))
        return result, ScaleByMicroAdamState(count, *columns)

    def _tensor(
        self,
        g: jax.Array,
        p: jax.Array | None,
        decay: Any,
        stored: Stored,
        count: jax.Array,
        offers: bool,
    ) -> tuple[jax.Array, jax.Array | None, Stored]:
        kernel = self._kernel(g if p is None else p)
        b1, b2, eps, pull = (
            value_at(x, count) for x in (self.b1, self.b2, self.eps, self.weight_decay)
        )
        rate = self.learning_rate
        dense = isinstance(self.densify, int | float) and self.densify == 0
        numbers = step_numbers(
            count,
            self.window,
            b1,
            b2,
            eps,
            None if dense else value_at(self.densify, count),
            None if rate is None else value_at(rate, count),
            pull,
            self.window_bias_correction,
            kernel.dtype,
        )
        numbers = jax.tree.map(jnp.asarray, numbers)
        run = functools.partial(_kernel_step, kernel, offers)
        like = (g, p if offers else None, stored)
        return automatic(run, like)(g, p, stored, numbers, jnp.asarray(decay))


# Without jit around them each of their operations would be compiled by itself.
@functools.partial(jax.jit, static_argnums=0, inline=True, keep_unused=True)
def _kernel_init(kernel: Kernel, leaf: jax.Array) -> Stored:
    del leaf  # It says on which devices.
    return kernel.init()


@functools.partial(jax.jit, static_argnums=(0, 1), inline=True)
def _kernel_step(
    kernel: Kernel,
    offers: bool,
    g: jax.Array,
    p: jax.Array | None,
    stored: Stored,
    numbers: Numbers,
    decays: jax.Array,
) -> tuple[jax.Array, jax.Array | None, Stored]:
    return kernel.update(g, p, stored, numbers, decays, offers)
