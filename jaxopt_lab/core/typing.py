"""Protocols and aliases that the rooms of the house share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias, runtime_checkable

import jax

# Not of jaxtyping, whose import takes as long as all of ours.
PyTree: TypeAlias = Any
Params: TypeAlias = PyTree
Updates: TypeAlias = PyTree
Batch: TypeAlias = PyTree
ModelState: TypeAlias = PyTree
Metrics: TypeAlias = dict[str, jax.Array]
Scalar: TypeAlias = float | jax.Array
ScalarOrSchedule: TypeAlias = Scalar | Callable[[jax.Array], Scalar]
MaskOrFn: TypeAlias = PyTree | Callable[[Params], PyTree]


class LossFn(Protocol):
    """``loss_fn(params, batch) -> scalar``, a mean over the examples of the batch."""

    def __call__(self, params: Params, batch: Batch, /) -> jax.Array: ...


class TrainLossFn(Protocol):
    """``loss_fn(params, model_state, batch, key) -> (loss, (model_state, metrics))``.

    The loss and every metric are means over the examples of the batch, so that
    means over shards, micro-batches and devices are means over the whole. A mean over
    a mask has another divisor in every part: give the mask as ``weights`` of the step.
    """

    def __call__(
        self,
        params: Params,
        model_state: ModelState,
        batch: Batch,
        key: jax.Array,
        /,
    ) -> tuple[jax.Array, tuple[ModelState, Metrics]]: ...


@runtime_checkable
class GradFn(Protocol):
    """``grad_fn(params, i=0) -> gradients`` at other parameters, same batch.

    ``i`` is the index of the ascent step, for functions that draw a new batch or
    key for each. Transformations take functions of the parameters alone, too, and
    pass ``i`` by keyword to those that have an argument of this name.
    """

    def __call__(self, params: Params, i: int | jax.Array = 0) -> Updates: ...


class Shards(Protocol):
    """The gradients of equal parts of a batch (``ShardedGradFn.shard(m)``)."""

    def __call__(self, params: Params, j: int | jax.Array) -> Updates:
        """Gradient of shard ``j`` alone."""
        ...

    def mean(
        self, f: Callable[[Callable[[Params], Updates]], Any], mode: str = "unroll"
    ) -> Any:
        """Mean over the shards of ``f(grad)``."""
        ...

    def mean_gradient(
        self,
        point: Callable[[Callable[[Params], Updates]], Params],
        mode: str = "unroll",
    ) -> Updates:
        """Mean over the shards of ``grad(point(grad))``."""
        ...


@runtime_checkable
class ShardedGradFn(GradFn, Protocol):
    """A ``GradFn`` that knows its batch, as ``batch_grad`` makes them."""

    def shard(self, num_shards: int) -> Shards:
        """The batch cut into ``num_shards`` equal parts."""
        ...

    def mean(self, tree: Any) -> Any:
        """Mean over the devices' axis; the identity where there is none."""
        ...


class FusedApply(Protocol):
    """Record of new parameters that a transformation has computed by itself.

    A transformation whose state is quantized computes the new parameters chunk by
    chunk; an updates tree beside them would cost 4 bytes a parameter. It records both,
    and the train step uses whichever is still valid at the end of the chain.
    """

    def record(self, updates: Updates, old_params: Params, new_params: Params) -> None:
        """Say that adding ``updates`` to ``old_params`` gives ``new_params``."""
        ...


class BatchSource(Protocol):
    """An endless source of batches that knows where it stands."""

    def next(self) -> Batch:
        """The next batch."""
        ...

    def get_state(self) -> dict[str, Any]:
        """The position, as plain numbers, strings, lists and dicts (JSON)."""
        ...

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go to a position that ``get_state`` gave; the batches after it repeat."""
        ...
