"""Iterables, loaders and single batches as sources of batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.foreign_arrays import as_numpy
from jaxopt_lab.core.typing import Batch

if TYPE_CHECKING:
    from jaxopt_lab.core.typing import BatchSource

ACCEPTED = (
    "a source (next, get_state, set_state), a list or loader of batches, an iterator, "
    "a function that gives a new one, or one batch (a dict or a pair of arrays)"
)


class IterableBatches:
    """An endless source of the batches of an iterable, pass after pass.

    The position is the number of batches given; to go to one, those before it are
    read again, of a list without the passes before. A loader that shuffles gives
    another order then: use ``data.ArrayBatches`` where a resumed run is to repeat.

    Args:
      batches: a list, a loader, an iterator (which can be passed once), or a function
        that gives a new iterator.

    Raises:
      InputError: when asked for a batch: there is none, or an iterator has ended.

    >>> source = IterableBatches([{"x": 1}, {"x": 2}])
    >>> [int(source.next()["x"]) for _ in range(3)], source.get_state()
    ([1, 2, 1], {'index': 3})
    """

    def __init__(self, batches: Iterable[Any] | Callable[[], Iterable[Any]]) -> None:
        self._batches: Any = batches
        self._rest: Iterator[Any] | None = None
        self._index = 0

    def next(self) -> Batch:
        """The next batch; after the last one the first of a new pass."""
        self._index += 1
        return as_arrays(self._take())

    def get_state(self) -> dict[str, int]:
        """The number of batches given so far, as ``{"index": ...}``."""
        return {"index": self._index}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go to the batch of that number.

        Args:
          state: as ``get_state`` gives it.

        Raises:
          InputError: an iterator is past it, or ends before it.
        """
        index = int(state["index"])
        again = self._index > 0 or self._rest is not None
        if again and self._once():
            if index < self._index:
                raise InputError(
                    f"the iterator of batches is past batch {index}; give a list, a "
                    "loader or a function instead"
                )
            skipped = index - self._index
        else:
            self._rest = None
            known = isinstance(self._batches, list | tuple) and len(self._batches)
            skipped = index % known if known else index
        for _ in range(skipped):
            self._take()
        self._index = index

    def _take(self) -> Any:
        for _ in range(2):
            if self._rest is None:
                given: Any = self._batches
                found: Any = given() if callable(given) else given
                self._rest = iter(found)
            for batch in self._rest or ():
                return batch
            if self._once():
                raise InputError(
                    f"the iterator of batches has ended after {self._index - 1}; give "
                    "a list, a loader or a function that gives a new iterator"
                )
            self._rest = None
        raise InputError("there are no batches: the iterable is empty")

    def _once(self) -> bool:
        return isinstance(self._batches, Iterator)


def as_source(batches: Any) -> BatchSource:
    """A source of batches, from whatever gives batches.

    Args:
      batches: a source (returned as it is), an iterable or iterator of batches, a
        function that gives one, or one batch, which is then repeated.

    Returns:
      The source.

    Raises:
      InputError: it is something else.
    """
    if all(hasattr(batches, name) for name in ("next", "get_state", "set_state")):
        return batches
    if is_batch(batches):
        return IterableBatches([batches])
    given: Any = batches
    if callable(given) or is_iterable(given):
        readable: Any = given
        return IterableBatches(readable)
    raise InputError(
        f"batches of type {type(batches).__name__} cannot be read; accepted: {ACCEPTED}"
    )


def is_batch(value: Any) -> bool:
    """Whether a value is one batch: a dict, an array, or a tuple of arrays."""
    if isinstance(value, Mapping) or _is_array(value):
        return True
    return isinstance(value, tuple) and bool(value) and all(map(_is_array, value))


def is_iterable(value: Any) -> bool:
    """Whether a value can be iterated, text aside."""
    return hasattr(value, "__iter__") and not isinstance(value, str | bytes)


def as_arrays(batch: Any) -> Batch:
    """A batch whose leaves jax takes: tensors of other libraries become NumPy arrays.

    Args:
      batch: a tree; lists (as loaders give pairs) become tuples.

    Returns:
      The batch.

    Raises:
      InputError: a leaf cannot become an array, such as a tensor in bfloat16.
    """
    if isinstance(batch, list):
        batch = tuple(batch)
    kept = jax.Array | np.ndarray
    return jax.tree.map(
        lambda x: x if isinstance(x, kept) else as_numpy(x, "a batch"), batch
    )


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")
