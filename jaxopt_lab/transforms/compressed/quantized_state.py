"""Run any optax transformation on quantized state: dequantize, update, requantize."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core import trees
from jaxopt_lab.core.checks import check_positive_count, require_real
from jaxopt_lab.core.codecs import EncodedArray
from jaxopt_lab.core.explicit_axes import with_auto_axes, with_block_axes
from jaxopt_lab.core.typing import FusedApply, Params, Updates
from jaxopt_lab.transforms.compressed.elementwise import Step, Transformation
from jaxopt_lab.transforms.compressed.layout import Codecs
from jaxopt_lab.transforms.compressed.scales import scales_of
from jaxopt_lab.transforms.compressed.storage import LeafStorage


class QuantizeStateState(NamedTuple):
    """State of ``quantize_state``.

    Attributes:
      inner: the state of the inner transformation, codes instead of the tensors
        that are coded: uint8 of the tensor's shape, or packed 4-bit codes, half as
        many.
      scales: a tree of the same paths, ``Scales`` instead of ``NamedTuple``; of a coded
        tensor one number for each block, elsewhere a zero.
      offsets: likewise, for codecs that are not symmetric; ``None`` where there is
        none of them.
      key: typed key of the next step's rounding; ``None`` if it is to the nearest.
    """

    inner: Any
    scales: Any
    offsets: Any
    key: jax.Array | None


class QuantizedState(NamedTuple):
    """A transformation and how its state is stored.

    Attributes:
      base: the transformation.
      coding: which tensors are coded, and as what.
      elementwise: whether ``base`` treats every element by itself.
      chunk: elements in a chunk, or ``None``.
      seed: of the first key, or ``None`` for rounding to the nearest.
      inner_for: for given parameters, the transformation of the i-th of them, where
        they differ (masked decay); ``None`` where they do not.
      name: the method's, for messages.
    """

    base: Transformation
    coding: Codecs
    elementwise: bool
    chunk: int | None
    seed: int | None
    inner_for: Callable[[Params], Callable[[int], Transformation]] | None = None
    name: str = "quantize_state(..., elementwise=True)"

    def transformation(self) -> Transformation:
        """The transformation with its state stored as codes.

        Returns:
          It; extra arguments are passed on.

        Raises:
          InputError: an attribute cannot be used.
        """
        if self.chunk is not None:
            check_positive_count("chunk", self.chunk)
        return Transformation(self.init, self.update)

    def init(self, params: Params) -> Any:
        """The state for these parameters.

        Args:
          params: the parameters.

        Returns:
          The state, as codes.
        """
        params = trees.arrays(params)
        if self.elementwise:
            require_real(self.name, params)
        state = self.base.init(params)
        leaves, structure = jax.tree.flatten(state)
        storages = self.coding.storages(state, params)
        # XLA would compute the codes of an array of zeros while it compiles, slowly.
        hidden = [
            x if storage.codec is None else jax.lax.optimization_barrier(x)
            for storage, x in zip(storages, leaves, strict=True)
        ]
        kept = [
            with_block_axes(storage.encode, x, storage.block)(x)
            for storage, x in zip(storages, hidden, strict=True)
        ]
        key = None if self.seed is None else jax.random.key(self.seed)
        return _pack(structure, kept, key, params)

    def update(
        self,
        updates: Updates,
        state: Any,
        params: Params | None = None,
        *,
        fused_apply: FusedApply | None = None,
        **extra: Any,
    ) -> tuple[Updates, Any]:
        """One step.

        Args:
          updates: gradients.
          state: the state.
          params: the parameters, where the inner transformation needs them.
          fused_apply: records new parameters, or ``None``.
          **extra: passed on.

        Returns:
          Updates and the new state.
        """
        updates, params = trees.arrays((updates, params))
        like = updates if params is None else params
        template = jax.eval_shape(self.base.init, like)
        storages = self.coding.storages(template, like)
        kept = _unpack(state, storages)
        key = now = None
        if state.key is not None:
            key, now = jax.random.split(state.key)
        if self.elementwise:
            inner_for = lambda i: self.base
            if self.inner_for is not None:
                inner_for = self.inner_for(like)
            step = Step(inner_for, template, storages, now, self.chunk, extra)
            updates, kept = step.run(updates, kept, params, fused_apply)
        else:
            if fused_apply is not None:
                extra["fused_apply"] = fused_apply
            places = jax.tree.leaves(template)
            values = [
                with_auto_axes(partial(storage.decode, shape=storage.shape), place)(x)
                for storage, x, place in zip(storages, kept, places, strict=True)
            ]
            inner = jax.tree.unflatten(jax.tree.structure(template), values)
            updates, inner = self.base.update(updates, inner, params, **extra)
            new = jax.tree.leaves(inner)
            kept = [
                with_auto_axes(storage.encode, old)(x, now)
                for storage, x, old in zip(storages, new, kept, strict=True)
            ]
        structure = jax.tree.structure(template)
        return updates, _pack(structure, kept, key, like, state)


def _pack(
    structure: Any,
    kept: Sequence[EncodedArray],
    key: jax.Array | None,
    params: Params,
    old: QuantizeStateState | None = None,
) -> QuantizeStateState:
    def tree(numbers: list[jax.Array | None], before: Any) -> Any:
        # An array each: a buffer cannot be donated twice.
        stand_ins = [jnp.zeros((), jnp.float32) for _ in numbers]
        if before is not None:
            # A sum forces a new output buffer: jit forwards unmodified inputs, which
            # would keep the donated state alive.
            stand_ins = [x + x if x.ndim == 0 else x for x in jax.tree.leaves(before)]
        filled = [
            x if x is not None else zero
            for x, zero in zip(numbers, stand_ins, strict=True)
        ]
        return scales_of(jax.tree.unflatten(structure, filled), params)

    inner = jax.tree.unflatten(structure, [x.qvalue for x in kept])
    scales = tree([x.scale for x in kept], old and old.scales)
    offsets = None
    if any(x.offset is not None for x in kept):
        offsets = tree([x.offset for x in kept], old and old.offsets)
    return QuantizeStateState(inner, scales, offsets, key)


def _unpack(
    state: QuantizeStateState, storages: Sequence[LeafStorage]
) -> list[EncodedArray]:
    """The stored arrays of each tensor, ``None`` for a stand-in."""
    stored = jax.tree.leaves(state.inner)
    scales = jax.tree.leaves(state.scales)
    offsets = jax.tree.leaves(state.offsets) or [None] * len(stored)
    kept = []
    for storage, codes, scale, offset in zip(
        storages, stored, scales, offsets, strict=True
    ):
        scaled, shifted = storage.numbers
        kept.append(
            EncodedArray(
                codes,
                scale if scaled else None,
                jnp.asarray(offset) if shifted else None,
            )
        )
    return kept
