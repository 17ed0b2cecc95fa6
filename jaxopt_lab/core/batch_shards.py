"""The equal parts of a batch, each with its gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core import loops, trees
from jaxopt_lab.core.batch_parts import share, split_batch, weighed
from jaxopt_lab.core.summed_gradients import can_sum, summed_gradient
from jaxopt_lab.core.typing import Batch, Params, PyTree, Updates


class WholeBatch(Protocol):
    """A ``BatchGrad``, as the parts of its batch see it."""

    _batch: Batch
    _cache: dict[int, tuple[list[Any], Any]]

    def weight(self, part: Batch = None) -> jax.Array | None: ...

    def cached(self, num_shards: int, params: Params) -> Any | None: ...

    def _reduced(self, grads: Updates, part: Batch = None) -> Updates: ...

    def _shard_key(self, j: int | jax.Array, num_shards: int) -> jax.Array | None: ...

    def _local(
        self,
        params: Params,
        batch: Batch,
        key: jax.Array | None,
        num_shards: int,
        *,
        first: bool = False,
    ) -> tuple[tuple[jax.Array, PyTree], Updates]: ...


class BatchShards:
    """The equal parts of a ``BatchGrad``'s batch; see ``BatchGrad.shard``."""

    def __init__(self, whole: WholeBatch, num_shards: int):
        self._whole = whole
        self._num_shards = num_shards
        # NumPy would cut its arrays itself: another program for the same batch.
        batch = jax.tree.map(
            lambda x: jnp.asarray(x) if isinstance(x, np.ndarray) else x, whole._batch
        )
        self._parts = split_batch(batch, num_shards, "shards")

    def __call__(self, params: Params, j: int | jax.Array) -> Updates:
        """Gradient of shard ``j`` on this device, not averaged over devices."""
        return self._value_and_grad(params, loops.take(self._parts, j), j)[1]

    def mean(
        self,
        f: Callable[[Callable[[Params], Updates]], PyTree],
        mode: loops.ModeOrAuto = "unroll",
    ) -> PyTree:
        """Mean over shards (and devices) of ``f(grad)``, by the weights if any.

        Args:
          f: receives ``grad(params)``, the gradient of one shard, and returns a
            tree. Asked at the step's own parameters, ``grad`` costs nothing.
          mode: ``"unroll"``; ``"vmap"``, right for a batch that is sharded under
            ``jit``; ``"scan"``, the only one that does not hold all shards' results at
            once, but repeats the first pass; or ``"auto"``: ``"vmap"``, but
            ``"unroll"`` on CPU for a program with convolutions.

        Returns:
          The mean, over the devices too.
        """

        def one(item: Any) -> PyTree:
            return weighed(f(self._grad_of(item)), self._share(item[0]))

        items = self._items(mode)
        mode = _chosen(mode, one, items)
        return self._whole._reduced(loops.mean_items(one, items, mode))

    def mean_gradient(
        self,
        point: Callable[[Callable[[Params], Updates]], Params],
        mode: loops.ModeOrAuto = "unroll",
    ) -> Updates:
        """Mean over shards (and devices) of the gradient at ``point(grad)``.

        The values of ``mean(lambda grad: grad(point(grad)), mode)``. With ``"vmap"``
        the gradients at the points are not made one by one but summed in the products
        that give them (``summed_gradient``), where no weights, micro-batches,
        ``custom_vjp`` or narrow types prevent it.

        Args:
          point: receives ``grad(params)``, the gradient of one shard.
          mode: as of ``mean``.

        Returns:
          The mean, over the devices too.
        """
        whole, m, items = self._whole, self._num_shards, self._items(mode)

        def points(item: Any) -> Params:
            return point(self._grad_of(item))

        def at_point(grad: Callable[[Params], Updates]) -> Updates:
            return grad(point(grad))

        mode = _chosen(mode, lambda item: at_point(self._grad_of(item)), items)
        plain = whole._weights is None and whole._micro_in_shard(m) == 1
        if mode != "vmap" or not plain:
            return self.mean(at_point, mode)
        at = loops.map_items(points, items, mode)
        own = items[:2]

        def loss(params: Params, item: tuple[Batch, jax.Array]) -> jax.Array:
            return whole._loss(params, item[0], whole._shard_key(item[1], m))

        if not can_sum(loss, loops.take(at, 0), loops.take(own, 0)):
            return self.mean(at_point, mode)
        total = trees.ascent_gradient(summed_gradient(loss, at, own))
        return whole._reduced(jax.tree.map(lambda g: g / m, total))

    def _items(self, mode: str) -> tuple[Batch, jax.Array, Updates | None]:
        """Of each shard its part of the batch, its number, and its first gradient."""
        m = self._num_shards
        first = self._whole._cache.get(m, ([], None))[1] if mode != "scan" else None
        return self._parts, jnp.arange(m), first

    def _grad_of(self, item: Any) -> Callable[[Params], Updates]:
        """The gradient function of one of ``_items``."""
        part, j, first = item

        def grad(params: Params) -> Updates:
            kept = self._whole.cached(self._num_shards, params)
            if first is not None and kept is not None:
                return first
            return self._value_and_grad(params, part, j)[1]

        return grad

    def first_pass(
        self, params: Params, mode: loops.ModeOrAuto
    ) -> tuple[Any, Updates, Updates]:
        """Mean loss and auxiliary output, mean gradient, and every shard's, stacked."""

        def one(item: tuple[Batch, jax.Array]) -> tuple[Any, Updates, Any]:
            value, grads = self._value_and_grad(params, *item, first=True)
            factor = self._share(item[0])
            return weighed(value, factor), grads, factor

        items = (self._parts, jnp.arange(self._num_shards))
        mode = _chosen(mode, one, items)
        values, grads, factors = loops.map_items(one, items, mode)
        mean = loops.mean_items(lambda value: value, values, "vmap")
        whole = loops.mean_items(lambda at: weighed(*at), (grads, factors), "vmap")
        return mean, whole, grads

    def _share(self, part: Batch) -> Any:
        whole = self._whole
        return share(whole.weight(part), whole.weight(), self._num_shards)

    def _value_and_grad(
        self, params: Params, part: Batch, j: int | jax.Array, *, first: bool = False
    ) -> tuple[Any, Updates]:
        key = self._whole._shard_key(j, self._num_shards)
        return self._whole._local(params, part, key, self._num_shards, first=first)


def _chosen(
    mode: loops.ModeOrAuto, one: Callable[[Any], PyTree], items: PyTree
) -> loops.Mode:
    if mode == "auto":
        return loops.choose("vmap", one, loops.take(items, 0))
    return loops.check_mode(mode)
