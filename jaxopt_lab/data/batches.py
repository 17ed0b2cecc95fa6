"""Batches of data sets in device memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import Batch

Arrays = Mapping[str, np.ndarray | jax.Array]
Augment = Callable[[jax.Array, Batch], Batch]

# Folded into a seed's key for the keys of augmentation; the epoch numbers, folded
# into the same key, never reach it.
_AUGMENT_STREAM = 2**32 - 1


class ArrayBatches:
    """Shuffled batches of arrays on the device.

    Epoch e of a seed goes through the examples in the order
    ``jax.random.permutation(jax.random.fold_in(key, e), n)``, cut into
    ``n // batch_size`` batches; the rest of the permutation is left out of that
    epoch. So a batch depends on nothing but the key and its number, and the position
    is that number alone.

    Args:
      arrays: the examples, by name or as a tuple (inputs, labels), as which batches
        then come; all with the same length n in front. They are put on the default
        device once, whatever the number of seeds.
      batch_size: examples in a batch of one seed, ``1 .. n``.
      keys: one typed key: leaves of a batch have shape ``(batch_size, ...)``. Keys of
        shape ``(S,)``: shape ``(S, batch_size, ...)``, in which row s is the batch
        that ``keys[s]`` alone gives, bit for bit.
      augment: ``augment(key, batch) -> batch`` of one seed, pure and traceable. Its
        key is derived from the seed's key and the number of the batch, separately
        from those of the shuffling.

    Raises:
      InputError: there are no arrays, their lengths differ, ``batch_size`` is out of
        range, or ``keys`` are not one or several typed keys.

    Memory: the arrays once, 4 bytes an example and seed for the permutation, and the
    batches in flight. Time: one compiled call a batch, one more an epoch.

    >>> source = ArrayBatches({"x": np.arange(10)}, 4, jax.random.key(0))
    >>> first, second, third = (source.next()["x"] for _ in range(3))
    >>> source.get_state()
    {'index': 3}
    >>> source.set_state({"index": 1})
    >>> bool((source.next()["x"] == second).all())
    True
    """

    def __init__(
        self,
        arrays: Arrays | tuple[Any, ...],
        batch_size: int,
        keys: jax.Array,
        *,
        augment: Augment | None = None,
    ) -> None:
        pair = isinstance(arrays, tuple)
        if pair:
            arrays = {str(i): x for i, x in enumerate(arrays)}
        count = check_lengths(arrays)
        check_batch_size(batch_size, count)
        _check_keys(keys)
        self._arrays = {name: jnp.asarray(x) for name, x in arrays.items()}
        self._keys = keys
        self._index: int = 0
        self._epoch: int | None = None
        self._order: jax.Array | None = None
        self.num_examples = count
        self.batch_size = batch_size
        self.batches_per_epoch = per_epoch = count // batch_size

        def order(key: jax.Array, epoch: jax.Array) -> jax.Array:
            shuffled = jax.random.permutation(jax.random.fold_in(key, epoch), count)
            return shuffled.astype(jnp.int32)

        def augmented(key: jax.Array, batch: Batch, index: jax.Array) -> Batch:
            if augment is None:
                return batch
            key = jax.random.fold_in(key, _AUGMENT_STREAM)
            return augment(jax.random.fold_in(key, index), batch)

        def pick(
            arrays: dict[str, jax.Array],
            keys: jax.Array,
            orders: jax.Array,
            index: jax.Array,
        ) -> Batch:
            start = (index % per_epoch) * batch_size
            rows = jax.lax.dynamic_slice_in_dim(
                orders, start.astype(jnp.int32), batch_size, axis=-1
            )
            batch = {
                name: x.at[rows].get(mode="promise_in_bounds")
                for name, x in arrays.items()
            }
            given = tuple(batch.values()) if pair else batch
            return _each_seed(augmented, keys, given, index=index)

        self._order_of = jax.jit(lambda keys, e: _each_seed(order, keys, index=e))
        self._pick = jax.jit(pick)

    def next(self) -> Batch:
        """The next batch, on the device."""
        epoch = self._index // self.batches_per_epoch
        if self._order is None or epoch != self._epoch:
            self._order = self._order_of(self._keys, np.uint32(epoch))
            self._epoch = epoch
        index = np.uint32(self._index)
        batch = self._pick(self._arrays, self._keys, self._order, index)
        self._index += 1
        return batch

    def get_state(self) -> dict[str, int]:
        """The number of batches given so far, as ``{"index": ...}``."""
        return {"index": self._index}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go to the batch of that number.

        Args:
          state: ``{"index": i}``, as ``get_state`` gives it.

        Raises:
          InputError: it is something else.
        """
        self._index = check_position(state)


def check_position(state: Mapping[str, Any]) -> int:
    """The number of a batch from a saved position.

    Args:
      state: ``{"index": i}``.

    Returns:
      The number.

    Raises:
      InputError: it is something else.
    """
    index = state.get("index") if isinstance(state, Mapping) else None
    if (
        not isinstance(index, int)
        or isinstance(index, bool)
        or not 0 <= index < _AUGMENT_STREAM
        or len(state) != 1
    ):
        raise InputError(
            f"not a position in the data: {state!r}; accepted: "
            "{'index': i} with the number i >= 0 of batches given before"
        )
    return index


def _each_seed(
    f: Callable[..., Any], keys: jax.Array, *items: Any, index: jax.Array
) -> Any:
    if keys.ndim == 0:
        return f(keys, *items, index)
    # Only threefry draws the same numbers inside and outside of vmap.
    if str(jax.random.key_impl(keys)) == "threefry2x32":
        return jax.vmap(lambda key, *item: f(key, *item, index))(keys, *items)
    return jax.lax.map(lambda each: f(*each, index), (keys, *items))


def check_lengths(arrays: Arrays) -> int:
    """The common length of arrays.

    Args:
      arrays: arrays by name.

    Returns:
      Their length along the first axis.

    Raises:
      InputError: there is none, one is a scalar, or the lengths differ.
    """
    if not isinstance(arrays, Mapping):
        raise InputError(
            f"arrays of type {type(arrays).__name__} have no names; accepted: a dict, "
            "such as {'image': ..., 'label': ...}, or a pair"
        )
    if not arrays:
        raise InputError("there are no arrays to take batches from")
    shapes = {name: np.shape(x) for name, x in arrays.items()}
    if any(not shape for shape in shapes.values()) or (
        len({shape[0] for shape in shapes.values()}) > 1
    ):
        got = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise InputError(f"arrays must have one common length in front; got {got}")
    return next(iter(shapes.values()))[0]


def check_batch_size(batch_size: int, count: int) -> None:
    """Refuse a batch that the set cannot fill.

    Args:
      batch_size: examples in a batch.
      count: examples in the set.

    Raises:
      InputError: the set is empty, or ``batch_size`` is not in ``1 .. count``.
    """
    if count < 1:
        raise InputError("the data set is empty; accepted: at least one example")
    if not 1 <= batch_size <= count:
        raise InputError(
            f"batch_size={batch_size} is out of range for {count} examples; "
            f"accepted: [1, {count}]"
        )


def _check_keys(keys: jax.Array) -> None:
    typed = jnp.issubdtype(getattr(keys, "dtype", np.float32), jax.dtypes.prng_key)
    if not typed or keys.ndim > 1 or keys.size < 1:
        got = f"{getattr(keys, 'dtype', type(keys).__name__)} {np.shape(keys)}"
        raise InputError(
            f"keys must be one typed key or keys of shape (S,), as jax.random.key "
            f"gives them; got {got}"
        )


def evaluation_batches(arrays: Arrays, batch_size: int) -> list[dict[str, jax.Array]]:
    """All examples once, in order, in batches of one shape.

    Args:
      arrays: the examples, by name; all with the same length in front.
      batch_size: examples in a batch; may be larger than the set.

    Returns:
      Batches on the device, with ``"weight"``, float32 of shape ``(batch_size,)``: 1
      for an example, 0 for the copies of the first example that fill the last batch.

    Raises:
      InputError: the set is empty, its lengths differ, it has a ``"weight"`` already,
        or ``batch_size`` is less than 1.

    Memory: the arrays once more, on the device.

    >>> batches = evaluation_batches({"x": np.array([5, 6, 7])}, 2)
    >>> [(b["x"].tolist(), b["weight"].tolist()) for b in batches]
    [([5, 6], [1.0, 1.0]), ([7, 5], [1.0, 0.0])]
    """
    count = check_lengths(arrays)
    check_batch_size(1, count)
    if batch_size < 1:
        raise InputError(f"batch_size={batch_size} is out of range; accepted: [1, inf)")
    if "weight" in arrays:
        raise InputError("arrays to evaluate cannot have a 'weight' of their own")
    batches = []
    for start in range(0, count, batch_size):
        rows = np.arange(start, start + batch_size)
        weight = (rows < count).astype(np.float32)
        rows = np.where(rows < count, rows, 0)
        batch = {name: jnp.asarray(x[rows]) for name, x in arrays.items()}
        batches.append({**batch, "weight": jnp.asarray(weight)})
    return batches
