"""Decode, run, encode: what all compressed states of this kind have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core.checks import check_positive_count
from jaxopt_lab.core.codecs import Coded
from jaxopt_lab.core.explicit_axes import with_auto_axes, with_block_axes
from jaxopt_lab.core.typing import FusedApply, Params, Updates
from jaxopt_lab.transforms.compressed.elementwise import Step, Transformation
from jaxopt_lab.transforms.compressed.layout import Codecs
from jaxopt_lab.transforms.compressed.slots import Slot


class QuantizeStateState(NamedTuple):
    """State of ``quantize_state``.

    Attributes:
      inner: the state of the inner transformation, codes in the place of the tensors
        that are coded: uint8 of the tensor's shape, or packed 4-bit codes, half as
        many.
      scales: a tree of the same structure; for a coded tensor one number for each
        block, elsewhere a zero.
      offsets: likewise, for codecs that are not symmetric; ``None`` where there is
        none of them.
      key: typed key of the next step's rounding; ``None`` if it is to the nearest.
    """

    inner: Any
    scales: Any
    offsets: Any
    key: jax.Array | None


class Engine(NamedTuple):
    """A transformation and how its state is stored.

    Attributes:
      base: the transformation.
      coding: which tensors are coded, and as what.
      elementwise: whether ``base`` treats every element by itself.
      chunk: elements in a chunk, or ``None``.
      seed: of the first key, or ``None`` for rounding to the nearest.
      inner_for: for given parameters, the transformation of the i-th of them, where
        they differ (masked decay); ``None`` where they do not.
    """

    base: Transformation
    coding: Codecs
    elementwise: bool
    chunk: int | None
    seed: int | None
    inner_for: Callable[[Params], Callable[[int], Transformation]] | None = None

    def transformation(self) -> Transformation:
        """The transformation with its state stored as codes.

        Returns:
          It; extra arguments are handed on.

        Raises:
          InputError: a value of the engine cannot be used.
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
        state = self.base.init(params)
        leaves, structure = jax.tree.flatten(state)
        slots = self.coding.slots(state)
        # XLA would compute the codes of an array of zeros while it compiles, slowly.
        hidden = [
            x if slot.codec is None else jax.lax.optimization_barrier(x)
            for slot, x in zip(slots, leaves, strict=True)
        ]
        kept = [
            with_block_axes(slot.encode, x, slot.block)(x)
            for slot, x in zip(slots, hidden, strict=True)
        ]
        key = None if self.seed is None else jax.random.key(self.seed)
        return _assembled(structure, kept, key)

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
          **extra: handed on.

        Returns:
          Updates and the new state.
        """
        like = updates if params is None else params
        template = jax.eval_shape(self.base.init, like)
        slots = self.coding.slots(template)
        kept = _taken_apart(state, slots)
        key = now = None
        if state.key is not None:
            key, now = jax.random.split(state.key)
        if self.elementwise:
            inner_for = lambda i: self.base
            if self.inner_for is not None:
                inner_for = self.inner_for(like)
            step = Step(inner_for, template, slots, now, self.chunk, extra)
            updates, kept = step.run(updates, kept, params, fused_apply)
        else:
            if fused_apply is not None:
                extra["fused_apply"] = fused_apply
            places = jax.tree.leaves(template)
            values = [
                with_auto_axes(partial(slot.decode, shape=slot.shape), place)(x)
                for slot, x, place in zip(slots, kept, places, strict=True)
            ]
            inner = jax.tree.unflatten(jax.tree.structure(template), values)
            updates, inner = self.base.update(updates, inner, params, **extra)
            new = jax.tree.leaves(inner)
            kept = [
                with_auto_axes(slot.encode, old)(x, now)
                for slot, x, old in zip(slots, new, kept, strict=True)
            ]
        structure = jax.tree.structure(template)
        return updates, _assembled(structure, kept, key, state)


def _assembled(
    structure: Any,
    kept: Sequence[Coded],
    key: jax.Array | None,
    old: QuantizeStateState | None = None,
) -> QuantizeStateState:
    def tree(numbers: list[jax.Array | None], before: Any) -> Any:
        # An array each: one that stands in twice could not be given away.
        stand_ins = [jnp.zeros((), jnp.float32) for _ in numbers]
        if before is not None:
            # Added up, since jit keeps for itself what is only handed on: a state
            # that was given away would stay alive in these.
            stand_ins = [x + x if x.ndim == 0 else x for x in jax.tree.leaves(before)]
        filled = [
            x if x is not None else zero
            for x, zero in zip(numbers, stand_ins, strict=True)
        ]
        return jax.tree.unflatten(structure, filled)

    inner = jax.tree.unflatten(structure, [x.codes for x in kept])
    scales = tree([x.scales for x in kept], old and old.scales)
    offsets = None
    if any(x.offsets is not None for x in kept):
        offsets = tree([x.offsets for x in kept], old and old.offsets)
    return QuantizeStateState(inner, scales, offsets, key)


def _taken_apart(state: QuantizeStateState, slots: Sequence[Slot]) -> list[Coded]:
    """What is stored for each tensor, ``None`` for what only stands in."""
    stored = jax.tree.leaves(state.inner)
    scales = jax.tree.leaves(state.scales)
    offsets = jax.tree.leaves(state.offsets) or [None] * len(stored)
    kept = []
    for slot, codes, scale, offset in zip(slots, stored, scales, offsets, strict=True):
        wanted = jax.eval_shape(
            slot.encode, jax.ShapeDtypeStruct(slot.shape, slot.dtype)
        )
        kept.append(
            Coded(
                codes,
                None if wanted.scales is None else scale,
                None if wanted.offsets is None else jnp.asarray(offset),
            )
        )
    return kept
