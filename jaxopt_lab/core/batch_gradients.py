"""The gradient of a loss on one batch: whole, in shards, in micro-batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core import backward_state, loops, placement, trees
from jaxopt_lab.core.batch_parts import (
    Weights,
    example_weights,
    num_examples,
    share,
    total_weight,
    weighed,
)
from jaxopt_lab.core.batch_parts import split_batch as split_batch
from jaxopt_lab.core.batch_shards import BatchShards as BatchShards
from jaxopt_lab.core.checks import NO_EXAMPLE_LOSSES
from jaxopt_lab.core.devices import pmean, varying
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.known_values import known_values
from jaxopt_lab.core.loss_checks import check_loss
from jaxopt_lab.core.seen import SeenTrees
from jaxopt_lab.core.typing import (
    Batch,
    LossFn,
    ModelState,
    Params,
    PyTree,
    Updates,
)

_LOCAL = -1
"""Key of the cache for this device's own gradient, before the mean over devices."""

# evaluate(params, batch, key[, model_state]) -> (loss, aux); the key is None where
# none is needed, the state is there where one is given
Evaluate = Callable[..., tuple[jax.Array, PyTree]]


class BatchGrad:
    """Gradient of a loss on one fixed batch; see ``batch_grad``.

    ``value_and_grad`` is the first pass of a training step. Its gradients are cached,
    so that a transformation which asks for a gradient at the very same parameters
    (the same arrays, not equal ones) gets it for nothing. Of complex parameters every
    gradient is ``trees.ascent_gradient``.

    A ``model_state`` is handed to ``evaluate``, whose ``aux`` holds the new one. Its
    leaves of type ``BackwardState`` are made by the first pass: the pass is
    differentiated with respect to them, and ``aux`` has the result. Micro-batches move
    them one after another; over shards and devices they are averaged as the other
    statistics are. Later passes leave them alone.
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
        weights: Weights | None = None,
        model_state: ModelState | None = None,
    ):
        self._model_state = model_state
        self._evaluate = evaluate
        self._batch = batch
        self._key = key
        self._axis_name = axis_name
        self._micro_batches = micro_batches
        self._micro_loop = micro_loop
        self._example_losses = example_losses
        self._reduce_dtype = reduce_dtype
        self._weights = weights
        self._cache: dict[int, tuple[list[Any], Any]] = {}
        self._asked, self._given = SeenTrees(), SeenTrees()
        # An indivisible batch is an error whether or not a link asks for shards.
        if micro_batches != 1:
            split_batch(batch, micro_batches, "micro-batches")

    def __call__(self, params: Params, i: int | jax.Array = 0) -> Updates:
        """Gradient of the whole batch, averaged over the devices' axis if any."""
        del i  # one batch and one key for all passes of a step
        cached = self.cached(0, params)
        if cached is not None:
            return cached
        (_, grads) = self._local(params, self._batch, self._shard_key(0, 1), 1)
        return self._gave(params, self._reduced(grads))

    def _gave(self, params: Params, grads: Updates) -> Updates:
        self._asked.add(params)
        self._given.add(grads)
        return grads

    def on_transform(self, transform: str, updates: Updates, params: Params) -> bool:
        """Whether a transform stands in front of one that is given ``updates``.

        Args:
          transform: name of the one that asks.
          updates: what it is given.
          params: the parameters it is given.

        Returns:
          False for a gradient that this function has given; otherwise True where it
          has given one at these parameters, or where a chain shows it.
        """
        del transform
        if self._given.has(updates):
            return False
        return self._asked.has(params) or placement.in_front()

    def value(
        self, params: Params, *, grad_fn: Any = None, fused_apply: Any = None
    ) -> jax.Array:
        """The loss on the whole batch, over all devices, with its derivative.

        Args:
          params: the parameters.
          grad_fn: not used; optax's line searches hand all extra arguments over.
          fused_apply: likewise.

        Returns:
          Scalar. Its derivative is the gradient of this function, so it is averaged
          over the devices too; line searches differentiate it.
        """

        del grad_fn, fused_apply
        key = self._shard_key(0, 1)
        if self._axis_name is None and self._micro_batches == 1:
            return self._loss(params, self._batch, key)

        def both(p: Params) -> tuple[jax.Array, Updates]:
            (loss, _), grads = self._local(p, self._batch, key, 1)
            return self._mean_value(loss), self._reduced(grads)

        loss_at = jax.custom_jvp(lambda p: both(p)[0])

        @loss_at.defjvp
        def _(primals: Any, tangents: Any) -> Any:
            loss, grads = both(*primals)
            return loss, trees.dot(grads, *tangents).astype(loss.dtype)

        return loss_at(params)

    def weight(self, part: Batch = None) -> jax.Array | None:
        """The weight of a part of the batch, of all of this device's by default."""
        if part is not None:
            return total_weight(self._weights, part)
        found = total_weight(self._weights, self._batch)
        known = None if found is None else known_values(found)
        if known is not None and known == 0:
            raise InputError("the weights of all examples of the batch are 0")
        return found

    def example_weights(self) -> jax.Array | None:
        """The weight of each example of this device's part, ``(examples,)``."""
        return example_weights(self._weights, self._batch)

    def mean(self, tree: PyTree) -> PyTree:
        """Mean of the floating leaves over the devices' axis, if there is one."""
        return pmean(tree, self._axis_name)

    def _device_share(self, part: Batch = None) -> Any:
        own = self.weight(part) if self._axis_name is not None else None
        return share(own, self.mean(own), 1)

    def _mean_value(self, value: PyTree) -> PyTree:
        """Mean of the floating leaves over the devices, by the weights if any."""
        states = self.mean(backward_state.found(value))
        value = self.mean(weighed(value, self._device_share()))
        return backward_state.replaced(value, states)

    def _reduced(self, grads: Updates, part: Batch = None) -> Updates:
        """``_mean_value`` of gradients, in the type that they are sent in."""
        grads = weighed(grads, self._device_share(part))
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
        examples = num_examples(self._batch, "losses of examples")
        if losses.shape != (examples,):
            raise InputError(
                f"example_losses must give one number for each of the {examples} "
                f"examples, shape {(examples,)}; got shape {losses.shape}"
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
        key = self._shard_key(0, 1)
        return self._reduced(self._differentiated(params, chosen, key)[1], chosen)

    def value_and_grad(
        self, params: Params, num_shards: int = 0, mode: loops.ModeOrAuto = "unroll"
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
            value, grads = self._local(params, self._batch, key, 1, first=True)
            if self._axis_name is not None:
                self._cache[_LOCAL] = (jax.tree.leaves(params), grads)
            grads = self._reduced(grads)
            self._cache[0] = (jax.tree.leaves(params), grads)
            return self._mean_value(value), self._gave(params, grads)
        shards = self.shard(num_shards)
        value, mean, each = shards.first_pass(params, mode)
        self._cache[num_shards] = (jax.tree.leaves(params), each)
        return self._mean_value(value), self._gave(params, self._reduced(mean))

    def on_device(self, params: Params) -> Updates | None:
        """This device's own gradient of the first pass, before the mean over devices.

        Args:
          params: the parameters.

        Returns:
          The gradient; ``None`` where the first pass was at others, or over shards, or
          where the number of devices of the axis is odd (``first_devices``).
        """
        if self._axis_name is None or jax.lax.axis_size(self._axis_name) % 2:
            return None
        return self.cached(_LOCAL, params)

    def first_devices(self, grads: Updates) -> Updates:
        """Mean gradient of the first half of the devices.

        Args:
          grads: of each device, as ``on_device`` gives them.

        Returns:
          The mean; with that of the other half it gives the whole gradient as its mean
          (with ``weights``, both by what their halves weigh).
        """
        axis: Any = self._axis_name
        first = 2 * jax.lax.axis_index(axis) < jax.lax.axis_size(axis)
        mine = jax.tree.map(lambda g: jnp.where(first, 2 * g, 0), grads)
        return self._reduced(mine)

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
        self,
        params: Params,
        batch: Batch,
        key: jax.Array | None,
        num_shards: int,
        *,
        first: bool = False,
    ) -> tuple[tuple[jax.Array, PyTree], Updates]:
        """Value and gradient on this device alone, over its micro-batches.

        In the first pass the auxiliary output has the new backward states.
        """
        params = varying(params, self._axis_name)
        parts = self._micro_in_shard(num_shards)
        states = backward_state.found(self._model_state) if first else []
        states = varying(states, self._axis_name)
        if parts == 1:
            return self._differentiated(params, batch, key, states)
        whole = self.weight(batch)
        items = (split_batch(batch, parts, "micro-batches"), jnp.arange(parts))

        def one(item: tuple[Batch, jax.Array], states: Any) -> tuple[Any, Any]:
            micro, i = item
            micro_key = None if key is None else jax.random.fold_in(key, i)
            found = self._differentiated(params, micro, micro_key, states)
            states = backward_state.found(found[0]) if states else states
            return weighed(found, share(self.weight(micro), whole, parts)), states

        mode = self._micro_loop
        if mode == "auto":
            mode = loops.choose("scan", one, loops.take(items, 0), states)
        mode = loops.check_mode(mode)
        (value, grads), states = loops.mean_in_sequence(one, items, states, mode)
        return backward_state.replaced(value, states), grads

    def _micro_in_shard(self, num_shards: int) -> int:
        micro = self._micro_batches
        if micro % num_shards and num_shards % micro:
            raise InputError(
                f"{num_shards} shards and {micro} micro-batches do not nest: one "
                "number must be a multiple of the other"
            )
        return max(1, micro // num_shards)

    @placement.evaluates_loss
    def _loss(self, params: Params, batch: Batch, key: Any) -> jax.Array:
        return self._scalar_evaluate(params, batch, key)[0]

    @placement.evaluates_loss
    def _differentiated(
        self, params: Params, batch: Batch, key: Any, states: Any = ()
    ) -> Any:
        """``((loss, aux), gradient)`` of one part, in one pass."""

        def loss(params: Params, states: Any) -> tuple[jax.Array, PyTree]:
            return self._scalar_evaluate(params, batch, key, states)

        if not states:
            value, grads = jax.value_and_grad(loss, has_aux=True)(params, states)
            return value, trees.ascent_gradient(grads)
        backward_state.check_uses(
            lambda states: jax.grad(loss, argnums=1, has_aux=True)(params, states)[0],
            states,
        )
        (value, aux), (grads, made) = jax.value_and_grad(
            loss, argnums=(0, 1), has_aux=True
        )(params, states)
        aux = backward_state.replaced(aux, backward_state.taken(states, made))
        return (value, aux), trees.ascent_gradient(grads)

    def _scalar_evaluate(
        self, params: Params, batch: Batch, key: Any, states: Any = ()
    ) -> tuple[jax.Array, PyTree]:
        rest = ()
        if self._model_state is not None:
            rest = (backward_state.replaced(self._model_state, states),)
        loss, aux = self._evaluate(params, batch, key, *rest)
        check_loss(loss)
        return loss, aux
