"""One step of a transformation that treats every element by itself."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxopt_lab.core import trees
from jaxopt_lab.core.codecs import EncodedArray
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.explicit_axes import with_auto_axes
from jaxopt_lab.core.typing import FusedApply, Params, Updates
from jaxopt_lab.transforms.compressed import chunks
from jaxopt_lab.transforms.compressed.layout import of_one, owners
from jaxopt_lab.transforms.compressed.storage import LeafStorage, common_tile

Transformation = optax.GradientTransformationExtraArgs


class Step(NamedTuple):
    """The values that all tensors of one step share.

    Attributes:
      inner_for: the transformation of the i-th parameter; all keep the same state.
      template: shapes and dtypes of the whole state.
      storages: how its leaves are stored.
      key: typed key of this step's rounding, or ``None``.
      chunk: elements in a chunk, or ``None``.
      extra: extra arguments for the transformation.
    """

    inner_for: Callable[[int], Transformation]
    template: Any
    storages: Sequence[LeafStorage]
    key: jax.Array | None
    chunk: int | None
    extra: dict[str, Any]

    def run(
        self,
        updates: Updates,
        kept: Sequence[EncodedArray],
        params: Params | None,
        fused_apply: FusedApply | None,
    ) -> tuple[Updates, list[EncodedArray]]:
        """The updates and the new stored state.

        Args:
          updates: gradients.
          kept: what is stored for each leaf of the state.
          params: the parameters, or ``None``.
          fused_apply: records the new parameters, or ``None``.

        Returns:
          Updates, and what is stored now.
        """
        like = updates if params is None else params
        owned = owners(self.inner_for(0).init, self.template, like)
        grads, structure = jax.tree.flatten(updates)
        weights = [None] * len(grads) if params is None else jax.tree.leaves(params)
        shared = {
            k: self.storages[k].decode(kept[k], self.storages[k].shape)
            for k, owner in enumerate(owned)
            if owner == -1
        }
        after = list(kept)
        for k, new in zip(shared, self._without_tensors(shared, params), strict=True):
            after[k] = self.storages[k].encode(new, self.key)
        moved, offered = [], []
        traced: dict[Any, Callable[..., Any]] = {}
        offers = fused_apply is not None and params is not None
        for i, (g, p) in enumerate(zip(grads, weights, strict=True)):
            mine = [k for k, owner in enumerate(owned) if owner == i]
            tensor = _Tensor(self, i, owned, mine, shared)
            stored = [kept[k] for k in mine]
            u, new, arrays = tensor.placed(g, p, stored, offers, traced)
            moved.append(u)
            offered.append(new)
            for k, now in zip(mine, arrays, strict=True):
                after[k] = now
        result = jax.tree.unflatten(structure, moved)
        if fused_apply is not None and params is not None:
            fused_apply.record(result, params, jax.tree.unflatten(structure, offered))
        return result, after

    def _without_tensors(
        self, shared: dict[int, jax.Array], params: Params | None
    ) -> list[jax.Array]:
        """The leaves that belong to no parameter (counts), after the step."""
        inner = self.inner_for(0)
        structure = jax.tree.structure(jax.eval_shape(inner.init, ()))
        state = jax.tree.unflatten(structure, list(shared.values()))
        nothing = None if params is None else ()
        return jax.tree.leaves(inner.update((), state, nothing, **self.extra)[1])


class _Tensor(NamedTuple):
    """The step of one parameter."""

    step: Step
    number: int
    owned: Sequence[int]
    mine: Sequence[int]
    shared: dict[int, jax.Array]

    @property
    def storages(self) -> list[LeafStorage]:
        return [self.step.storages[k] for k in self.mine]

    def advance(
        self, g: jax.Array, p: jax.Array | None, own: Sequence[jax.Array]
    ) -> tuple[Any, list[Any]]:
        """The transformation itself, on the whole parameter or a part of it."""
        inner = self.step.inner_for(self.number)
        values = {**self.shared, **dict(zip(self.mine, own, strict=True))}
        structure = jax.tree.structure(
            jax.eval_shape(inner.init, g if p is None else p)
        )
        ordered = of_one(
            [values.get(k) for k in range(len(self.owned))], self.owned, self.number
        )
        state = jax.tree.unflatten(structure, ordered)
        u, state = inner.update(g, state, p, **self.step.extra)
        owned_by = [o for o in self.owned if o in (self.number, -1)]
        new = [
            x
            for x, o in zip(jax.tree.leaves(state), owned_by, strict=True)
            if o == self.number
        ]
        return u, new

    def placed(
        self,
        g: jax.Array,
        p: jax.Array | None,
        kept: list[EncodedArray],
        offers: bool,
        traced: dict[Any, Callable[..., Any]],
    ) -> tuple[jax.Array, jax.Array | None, list[EncodedArray]]:
        """``update``, on a mesh of any kind.

        ``traced`` has the functions of the tensors before: one of equal storage and
        transformation is traced once, which most of the time to trace is.
        """

        def run(
            g: Any, p: Any, kept: Any, shared: Any, key: Any, number: jax.Array
        ) -> Any:
            tensor = self._replace(step=self.step._replace(key=key), shared=shared)
            return tensor.update(g, p, kept, offers, number)

        storages = tuple(dataclasses.replace(s, index=0) for s in self.storages)
        same: Any = (self.step.inner_for(self.number), storages)
        if self.step.key is not None:  # The rounding is by the number of the leaf.
            same = self.number
        run = traced.setdefault(same, jax.jit(run, inline=True))
        # The numbers differ because XLA would make one array of equal ones of two
        # tensors, and then copy it.
        number = jnp.asarray(self.number % 1000, jnp.int32)
        like = (g, p if offers else None, kept)
        return with_auto_axes(run, like)(g, p, kept, self.shared, self.step.key, number)

    def update(
        self,
        g: jax.Array,
        p: jax.Array | None,
        kept: Sequence[EncodedArray],
        offers: bool,
        number: jax.Array,
    ) -> tuple[jax.Array, jax.Array | None, list[EncodedArray]]:
        """``(update, new parameter or None, what is stored)``."""
        storages = self.storages
        for storage in storages:
            if storage.shape != g.shape:
                raise InputError(
                    f"elementwise=True needs moments of the parameters' shapes; got "
                    f"{storage.shape} for a parameter of shape {g.shape}"
                )
        templates = [jax.ShapeDtypeStruct(s.shape, s.dtype) for s in storages]
        out, _ = jax.eval_shape(self.advance, g, p, templates)
        tile = common_tile(storages)
        unit = math.prod(tile)

        def operand(x: jax.Array) -> chunks.ChunkedOperand:
            return chunks.ChunkedOperand(x, lambda n: n, tile)

        # Codes and parameters are updated in place: one operation reads a chunk and
        # one that depends on it writes it. What several operations read (gradients,
        # scales) XLA would copy whole in every iteration, so updates and new scales
        # get arrays of their own.
        # Every element is overwritten.
        blank = jnp.broadcast_to(number.astype(out.dtype), g.shape)
        first, read = [operand(blank)], [operand(g)]
        if p is not None:
            (first if offers else read).append(operand(p))
        arrays = [
            storage.operands(x, unit) for storage, x in zip(storages, kept, strict=True)
        ]
        codes = [x[0] for x in arrays]
        ranges = [y for x in arrays for y in x[1:]]
        structure = jax.tree.structure([x._replace(qvalue=None) for x in kept])

        def body(
            carried: Sequence[jax.Array], seen: Sequence[jax.Array], part: chunks.Part
        ) -> list[jax.Array]:
            there = carried[1] if offers else (seen[1] if p is not None else None)
            numbers = jax.tree.unflatten(structure, seen[len(read) :])
            now = carried[len(first) : len(first) + len(codes)]
            own = [
                storage.decode(x._replace(qvalue=c), part.shape)
                for storage, x, c in zip(storages, numbers, now, strict=True)
            ]
            u, new = self.advance(seen[0], there, own)
            coded = [
                self._encode(s, x, part) for s, x in zip(storages, new, strict=True)
            ]
            moved = (
                [u] if there is None or not offers else [u, trees.add_update(there, u)]
            )
            new_ranges = jax.tree.leaves([x._replace(qvalue=None) for x in coded])
            return [*moved, *(x.qvalue for x in coded), *new_ranges]

        after = chunks.in_chunks(
            body,
            [
                *first,
                *codes,
                *(x._replace(array=jnp.zeros_like(x.array)) for x in ranges),
            ],
            [*read, *ranges],
            g.shape,
            tile=tile,
            # Where nothing is coded, XLA needs no temporaries anyway.
            chunk=self.step.chunk if any(s.coded for s in storages) else None,
        )
        new_codes = after[len(first) : len(first) + len(codes)]
        numbers = jax.tree.unflatten(structure, after[len(first) + len(codes) :])
        stored = [x._replace(qvalue=c) for x, c in zip(numbers, new_codes, strict=True)]
        return after[0], after[1] if offers else None, stored

    def _encode(
        self, storage: LeafStorage, x: jax.Array, part: chunks.Part
    ) -> EncodedArray:
        if self.step.key is None:
            return storage.encode(x)
        ids = storage.block_ids(part.first, part.rows, part.row, part.size)
        return storage.encode(x, self.step.key, ids)
