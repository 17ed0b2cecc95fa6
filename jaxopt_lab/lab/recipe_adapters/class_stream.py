"""Classes in groups, one after the other: the stream of class-incremental learning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import Batch


def bounds(classes: int, tasks: int) -> np.ndarray:
    """The first class of each task, and the number of classes.

    Args:
      classes: their number.
      tasks: theirs.

    Returns:
      int32 ``(tasks + 1,)``; sizes differ by one at most.

    Raises:
      InputError: there are fewer classes than tasks.

    >>> bounds(10, 3).tolist()
    [0, 3, 6, 10]
    """
    if not 1 <= tasks <= classes:
        raise InputError(
            f"recipe.tasks={tasks} is out of range; accepted: [1, {classes}], the "
            "number of classes"
        )
    return (np.arange(tasks + 1) * classes // tasks).astype(np.int32)


class ClassStream:
    """Batches of the first task, then of the second, and so on.

    Args:
      sources: of each task, endless.
      steps: batches of each task; the last one goes on.

    >>> from jaxopt_lab.training.sources import as_source
    >>> import jax.numpy as jnp
    >>> each = [as_source([{"x": jnp.full(1, n)}] * 9) for n in (0, 1)]
    >>> stream = ClassStream(each, 2)
    >>> [int(stream.next()["x"][0]) for _ in range(3)]
    [0, 0, 1]
    >>> stream.get_state()
    {'index': 3}
    """

    def __init__(self, sources: Sequence[Any], steps: int) -> None:
        self._sources, self._steps, self._index = list(sources), steps, 0

    def next(self) -> Batch:
        """The next batch."""
        task = min(self._index // self._steps, len(self._sources) - 1)
        batch = self._sources[task].next()
        self._index += 1
        return batch

    def get_state(self) -> dict[str, int]:
        """The number of batches given so far, as ``{"index": ...}``."""
        return {"index": self._index}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go to the batch of that number.

        Args:
          state: as ``get_state`` gives it.
        """
        self._index = int(state["index"])
        last = len(self._sources) - 1
        for task, source in enumerate(self._sources):
            given = max(0, self._index - task * self._steps)
            given = given if task == last else min(given, self._steps)
            source.set_state({"index": given})
