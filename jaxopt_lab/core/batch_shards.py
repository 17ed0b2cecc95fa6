"""The equal parts of a batch, each with its gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core import loops
from jaxopt_lab.core.batch_parts import share, split_batch, weighed
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
        mode: loops.Mode = "unroll",
    ) -> PyTree:
        """Mean over shards (and devices) of ``f(grad)``, by the weights if any.

        Args:
          f: receives ``grad(params)``, the gradient of one shard, and returns a
            tree. Asked at the step's own parameters, ``grad`` costs nothing.
          mode: ``"unroll"``; ``"vmap"``, right for a batch that is sharded under
            ``jit``; or ``"scan"``, the only one that does not hold all shards'
            results at once, but repeats the first pass.

        Returns:
          The mean, over the devices too.
        """
        loops.check_mode(mode)
        whole, m = self._whole, self._num_shards
        first = whole._cache.get(m, ([], None))[1] if mode != "scan" else None

        def one(item: tuple[Batch, jax.Array, Updates | None]) -> PyTree:
            part, j, first_grad = item

            def grad(params: Params) -> Updates:
                if first_grad is not None and whole.cached(m, params) is not None:
                    return first_grad
                return self._value_and_grad(params, part, j)[1]

            return weighed(f(grad), self._share(part))

        items = (self._parts, jnp.arange(m), first)
        return whole._reduced(loops.mean_items(one, items, mode))

    def first_pass(
        self, params: Params, mode: loops.Mode
    ) -> tuple[Any, Updates, Updates]:
        """Mean loss and auxiliary output, mean gradient, and every shard's, stacked."""

        def one(item: tuple[Batch, jax.Array]) -> tuple[Any, Updates, Any]:
            value, grads = self._value_and_grad(params, *item, first=True)
            factor = self._share(item[0])
            return weighed(value, factor), grads, factor

        items = (self._parts, jnp.arange(self._num_shards))
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
