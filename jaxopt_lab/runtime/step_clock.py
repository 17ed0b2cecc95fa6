"""Wall time of the training steps, without evaluations, saves and compiling."""

from __future__ import annotations

import time


class StepClock:
    """A stopwatch that runs while steps are taken.

    Args:
      start: steps taken before the run.
    """

    def __init__(self, start: int) -> None:
        self._origin = time.perf_counter()
        self._since: float | None = None
        self._total = 0.0
        self._mark = (0.0, start)

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
        """Seconds since the clock was made, everything included.

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

    def per_step(self, steps: int) -> float:
        """Mean seconds of a step.

        Args:
          steps: steps taken while the watch ran.

        Returns:
          The mean; NaN without steps.
        """
        return self._total / steps if steps else float("nan")
