"""The gradient of a loss on one batch: whole, in shards, in micro-batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core import loops
from jaxopt_lab.core.checks import NO_EXAMPLE_LOSSES
from jaxopt_lab.core.devices import pmean, varying
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.loss_checks import check_loss
from jaxopt_lab.core.typing import Batch, LossFn, Params, PyTree, Updates

# evaluate(params, batch, key) -> (loss, aux); the key is None where none is needed
Evaluate = Callable[[Params, Batch, Any], tuple[jax.Array, PyTree]]


class BatchGrad:
    """Gradient of a loss on one fixed batch; see ``batch_grad``.

    ``value_and_grad`` is the first pass of a training step. Its gradients are cached,
    so that a transformation which asks for a gradient at the very same parameters
    (the same arrays, not equal ones) gets it for nothing.
    """

    def __init__(
        self,
        evaluate: Evaluate,
        batch: Batch,
        key: jax.Array | None = None,
        *,
        axis_name: str | None = None,
        micro_batches: int = 1,
        micro_loop: str = "auto",
        example_losses: LossFn | None = None,
        reduce_dtype: DTypeLike | None = None,
    ):
        self._evaluate = evaluate
        self._batch = batch
        self._key = key
        self._axis_name = axis_name
        self._micro_batches = micro_batches
        self._micro_loop = micro_loop
        self._example_losses = example_losses
        self._reduce_dtype = reduce_dtype
        self._cache: dict[int, tuple[list[Any], Any]] = {}
        # An indivisible batch is an error whether or not a link asks for shards.
        split_batch(batch, micro_batches, "micro-batches")

    def __call__(self, params: Params, i: int | jax.Array = 0) -> Updates:
        """Gradient of the whole batch, averaged over the devices' axis if any."""
        del i  # one batch and one key for all passes of a step
        cached = self.cached(0, params)
        if cached is not None:
            return cached
        (_, grads) = self._local(params, self._batch, self._shard_key(0, 1), 1)
        return self._reduced(grads)

    def mean(self, tree: PyTree) -> PyTree:
        """Mean of the floating leaves over the devices' axis, if there is one."""
        return pmean(tree, self._axis_name)

    def _reduced(self, grads: Updates) -> Updates:
        """``mean`` of gradients, in the type that they are sent in."""
        return pmean(grads, self._axis_name, self._reduce_dtype)

    def shard(self, num_shards: int) -> BatchShards:
        """This device's part of the batch, cut into equal shards."""
        return BatchShards(self, num_shards)

    def example_losses(self, params: Params) -> jax.Array:
        """Loss of each example of this device's part of the batch, ``(examples,)``.

        Raises:
          InputError: ``batch_grad`` was given no ``example_losses``, or they are not
            one number for each example.
        """
        if self._example_losses is None:
            raise InputError(NO_EXAMPLE_LOSSES)
        losses = self._example_losses(params, self._batch)
        examples = jnp.shape(jax.tree.leaves(self._batch)[0])[:1]
        if losses.shape != examples:
            raise InputError(
                f"example_losses must give one number for each of the {examples[0]} "
                f"examples, shape {examples}; got shape {losses.shape}"
            )
        return losses

    def on_examples(self, params: Params, indices: jax.Array) -> Updates:
        """Gradient of some examples of each device, averaged over the devices.

        Args:
          params: the parameters.
          indices: which examples of this device's part; the loss is their mean. They
            are passed over at once, however many micro-batches there are.

        Returns:
          The gradient.
        """
        chosen = jax.tree.map(lambda x: x[indices], self._batch)
        params = varying(params, self._axis_name)
        gradient = jax.grad(self._scalar_evaluate, has_aux=True)
        return self._reduced(gradient(params, chosen, self._shard_key(0, 1))[0])

    def value_and_grad(
        self, params: Params, num_shards: int = 0, mode: loops.Mode = "unroll"
    ) -> tuple[tuple[jax.Array, PyTree], Updates]:
        """First pass: ``((loss, aux), gradients)``, averaged over all parts.

        Args:
          params: the parameters.
          num_shards: 0 for one pass over the whole batch; m to pass over m shards
            and keep their gradients for ``shard(m).mean``. Losses, gradients and
            floating leaves of the auxiliary output are means over the shards;
            other leaves are those of the first shard.
          mode: how the shards' loop runs.

        Returns:
          Loss, auxiliary output and gradients.
        """
        if num_shards == 0:
            key = self._shard_key(0, 1)
            value, grads = self._local(params, self._batch, key, 1)
            grads = self._reduced(grads)
            self._cache[0] = (jax.tree.leaves(params), grads)
            return self.mean(value), grads
        shards = self.shard(num_shards)
        value, each = shards.first_pass(params, mode)
        self._cache[num_shards] = (jax.tree.leaves(params), each)
        mean = loops.mean_items(lambda g: g, each, "vmap")
        return self.mean(value), self._reduced(mean)

    def cached(self, num_shards: int, params: Params) -> Any | None:
        """Gradients of the first pass over ``num_shards`` shards at ``params``."""
        at, grads = self._cache.get(num_shards, ([], None))
        leaves = jax.tree.leaves(params)
        if grads is None or len(leaves) != len(at):
            return None
        return grads if all(a is b for a, b in zip(leaves, at, strict=True)) else None

    def _shard_key(self, j: int | jax.Array, num_shards: int) -> jax.Array | None:
        if self._key is None or (num_shards == 1 and self._axis_name is None):
            return self._key
        device = 0 if self._axis_name is None else jax.lax.axis_index(self._axis_name)
        return jax.random.fold_in(self._key, device * num_shards + j)

    def _local(
        self, params: Params, batch: Batch, key: jax.Array | None, num_shards: int
    ) -> tuple[tuple[jax.Array, PyTree], Updates]:
        """Value and gradient on this device alone, over its micro-batches."""
        params = varying(params, self._axis_name)
        value_and_grad = jax.value_and_grad(self._scalar_evaluate, has_aux=True)
        parts = self._micro_in_shard(num_shards)
        if parts == 1:
            return value_and_grad(params, batch, key)
        items = (split_batch(batch, parts, "micro-batches"), jnp.arange(parts))

        def one(item: tuple[Batch, jax.Array]) -> tuple[Any, Updates]:
            micro, i = item
            micro_key = None if key is None else jax.random.fold_in(key, i)
            return value_and_grad(params, micro, micro_key)

        mode = self._micro_loop
        if mode == "auto":
            mode = loops.choose("scan", one, loops.take(items, 0))
        return loops.mean_items(one, items, loops.check_mode(mode))

    def _micro_in_shard(self, num_shards: int) -> int:
        micro = self._micro_batches
        if micro % num_shards and num_shards % micro:
            raise InputError(
                f"{num_shards} shards and {micro} micro-batches do not nest: one "
                "number must be a multiple of the other"
            )
        return max(1, micro // num_shards)

    def _scalar_evaluate(self, *args: Any) -> tuple[jax.Array, PyTree]:
        loss, aux = self._evaluate(*args)
        check_loss(loss)
        return loss, aux


class BatchShards:
    """The equal parts of a ``BatchGrad``'s batch; see ``BatchGrad.shard``."""

    def __init__(self, whole: BatchGrad, num_shards: int):
        self._whole = whole
        self._num_shards = num_shards
        self._parts = split_batch(whole._batch, num_shards, "shards")

    def __call__(self, params: Params, j: int | jax.Array) -> Updates:
        """Gradient of shard ``j`` on this device, not averaged over devices."""
        return self._value_and_grad(params, loops.take(self._parts, j), j)[1]

    def mean(
        self,
        f: Callable[[Callable[[Params], Updates]], PyTree],
        mode: loops.Mode = "unroll",
    ) -> PyTree:
        """Mean over shards (and devices) of ``f(grad)``.

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

            return f(grad)

        items = (self._parts, jnp.arange(m), first)
        return whole._reduced(loops.mean_items(one, items, mode))

    def first_pass(self, params: Params, mode: loops.Mode) -> tuple[Any, Updates]:
        """Mean loss and auxiliary output, and every shard's gradient, stacked."""

        def one(item: tuple[Batch, jax.Array]) -> tuple[Any, Updates]:
            return self._value_and_grad(params, *item)

        items = (self._parts, jnp.arange(self._num_shards))
        values, grads = loops.map_items(one, items, mode)
        return loops.mean_items(lambda value: value, values, "vmap"), grads

    def _value_and_grad(
        self, params: Params, part: Batch, j: int | jax.Array
    ) -> tuple[Any, Updates]:
        key = self._whole._shard_key(j, self._num_shards)
        return self._whole._local(params, part, key, self._num_shards)


def split_batch(batch: Batch, parts: int, what: str = "parts") -> Batch:
    """A batch with its leading axis cut in two: ``(parts, examples / parts, ...)``.

    Args:
      batch: tree of arrays with a common leading axis; typed keys allowed.
      parts: number of parts, at least 1.
      what: noun for the error message.

    Returns:
      The reshaped tree; part j holds consecutive examples.

    Raises:
      InputError: the number of examples is not a multiple of ``parts``.
    """
    sizes = sorted({jnp.shape(x)[:1] for x in jax.tree.leaves(batch)})
    if parts < 1:
        raise InputError(f"the number of {what} must be at least 1; got {parts}")
    if len(sizes) != 1 or sizes[0] == ():
        raise InputError(
            "the leaves of a batch must share their leading axis, the examples; got "
            f"leading axes {sizes}"
        )
    (examples,) = sizes[0]
    if examples % parts:
        raise InputError(
            f"a batch of {examples} examples cannot be cut into {parts} equal {what}"
        )
    return jax.tree.map(
        lambda x: x.reshape(parts, examples // parts, *x.shape[1:]), batch
    )
