"""Wall time of the training steps, without evaluations, saves and compiling."""

from __future__ import annotations

import time
from collections.abc import Mapping


class StepClock:
    """A stopwatch that runs while steps are taken.

    Args:
      start: steps taken before the run.
      before: ``get_state`` of the clock of the run that is resumed.
    """

    def __init__(self, start: int, before: Mapping[str, float] | None = None) -> None:
        before = before or {}
        self._origin = time.perf_counter() - before.get("elapsed", 0.0)
        self._since: float | None = None
        self._total = before.get("stepping", 0.0)
        # Steps whose time is not known: those before a clock that was not saved.
        self._first = start - round(before.get("steps", 0))
        self._mark = (self._total, start)

    def get_state(self, done: int) -> dict[str, float]:
        """Times for a checkpoint, from which a resumed run goes on.

        Args:
          done: steps taken by now.

        Returns:
          Wall seconds ``elapsed``, seconds ``stepping``, and the ``steps`` they took.
        """
        return {
            "elapsed": self.elapsed(),
            "stepping": self._total,
            "steps": done - self._first,
        }

    def start(self) -> None:
        """Start the watch; no effect while it runs."""
        if self._since is None:
            self._since = time.perf_counter()

    def stop(self) -> None:
        """Stop the watch; no effect while it stands."""
        if self._since is not None:
            self._total += time.perf_counter() - self._since
            self._since = None

    def elapsed(self) -> float:
        """Wall seconds of the run, everything but its interruptions included.

        Returns:
          Wall time.
        """
        return time.perf_counter() - self._origin

    def recent_speed(self, done: int) -> float:
        """Steps per second since the last call.

        Args:
          done: steps taken by now.

        Returns:
          The speed.
        """
        total, at = self._mark
        self._mark = (self._total, done)
        return (done - at) / max(self._total - total, 1e-9)

    def per_step(self, done: int) -> float:
        """Mean seconds of a step.

        Args:
          done: steps taken by now.

        Returns:
          The mean over all steps whose time is known; NaN without any.
        """
        steps = done - self._first
        return self._total / steps if steps else float("nan")
