"""The transformation around the kernel of MicroAdam: trees, schedules, the door."""

from __future__ import annotations

import dataclasses
import functools
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
    SHARE,
    STATIC,
    UNIT,
    Interval,
    check_arguments,
)
from jaxopt_lab.core.typing import MaskOrFn, Params, ScalarOrSchedule, Updates
from jaxopt_lab.transforms.compressed.block_top_k import LARGEST_BLOCK, Density
from jaxopt_lab.transforms.compressed.chunks import CHUNK
from jaxopt_lab.transforms.compressed.columns import gathered
from jaxopt_lab.transforms.compressed.explicit_axes import automatic, storing
from jaxopt_lab.transforms.compressed.microadam.kernel import Kernel, Stored
from jaxopt_lab.transforms.compressed.microadam.numbers import Numbers, step_numbers
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
      chunk: elements that are updated at a time on CPU; ``None`` for whole tensors.
      learning_rate: step size; ``None`` for the link.
      weight_decay: decoupled decay, times the step size.
      mask: which parameters decay: a tree of booleans or a function of the parameters
        that gives one. Default: all.
    """

    window: Annotated[int, COUNT] = 10
    density: Annotated[Density, SHARE, STATIC] = 0.01
    _: dataclasses.KW_ONLY
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
        return optax.GradientTransformationExtraArgs(self._init, self._update)

    def _kernel(self, leaf: jax.Array) -> Kernel:
        return Kernel(
            leaf.shape,
            trees.accumulation_dtype(leaf.dtype),
            self.window,
            self.density,
            self.block_size,
            MinMax4(self.quant_block),
            self.straight_through,
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
        count = jnp.asarray(optax.safe_increment(state.count))
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
        share = self.densify
        dense = isinstance(share, int | float) and share == 0
        numbers = step_numbers(
            count,
            self.window,
            b1,
            b2,
            eps,
            None if dense else value_at(share, count),
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
