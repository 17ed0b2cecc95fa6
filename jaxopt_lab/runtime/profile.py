"""A trace of some steps of a run by jax's profiler, and what took longest in it."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import jax

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.files import make_writable


class Operation(NamedTuple):
    """An operation of a trace.

    Attributes:
      name: as the compiler calls it.
      seconds: of all its runs, on all devices.
      share: part of the time of all operations.
    """

    name: str
    seconds: float
    share: float


class Profile:
    """Traces steps ``first`` to ``last`` of a run, both included.

    Args:
      folder: of the trace; TensorBoard, XProf and Perfetto read it.
      first: number of the first step, from 1.
      last: number of the last one.

    Raises:
      InputError: the steps are out of order.

    >>> profile = Profile("runs/demo/profile", 100, 110)
    >>> profile.step(98)  # nothing yet; called after each step
    """

    def __init__(self, folder: str | os.PathLike[str], first: int, last: int) -> None:
        if not 1 <= first <= last:
            raise InputError(
                f"steps {first}-{last} are out of order; accepted: 1 to the last step"
            )
        self.folder, self._first, self._last = Path(folder), first, last
        self._running = False

    def step(self, done: int, state: Any = None) -> None:
        """Start or stop the trace, as the number of steps says.

        Args:
          done: steps taken.
          state: the state after them; the trace ends when it is computed.
        """
        if done + 1 == self._first and not self._running:
            make_writable(self.folder)
            jax.block_until_ready(state)
            jax.profiler.start_trace(str(self.folder))
            self._running = True
        elif done >= self._last and self._running:
            jax.block_until_ready(state)
            self.close()

    def close(self) -> None:
        """Write the trace if it is still running."""
        if self._running:
            self._running = False
            jax.profiler.stop_trace()


def longest(folder: str | os.PathLike[str], count: int = 5) -> list[Operation]:
    """The operations that took longest in the newest trace of a folder.

    Args:
      folder: of the trace.
      count: how many.

    Returns:
      The operations, the longest first; empty where there is no trace, or none that
      names operations.
    """
    traces = sorted(Path(folder).rglob("*.xplane.pb"), key=lambda p: p.stat().st_mtime)
    if not traces:
        return []
    spent: Counter[str] = Counter()
    for plane in jax.profiler.ProfileData.from_file(str(traces[-1])).planes:
        for line in plane.lines:
            for event in line.events:
                if any(name == "hlo_op" for name, _ in event.stats):
                    spent[event.name] += event.duration_ns
    whole = sum(spent.values())
    return [
        Operation(name, 1e-9 * time, time / whole)
        for name, time in spent.most_common(count)
    ]
