"""The progress line of a run."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np

from jaxopt_lab.core.errors import InputError

_REDRAW_SECONDS = 0.1
_RECENT_SECONDS = 3.0


class Progress:
    """One line on standard error: step, loss, test metric, speed, time left.

    On a terminal the line is redrawn in place, at most ten times a second; in between,
    ``update`` only reads the clock. Elsewhere a line is printed after the first step,
    for every step with a record, and at the end.

    Args:
      steps: number of steps of the whole run.
      start: steps taken before.
      enabled: ``True``, ``False``, or ``"auto"``: on a terminal, if rich is there.

    Raises:
      InputError: ``enabled`` is ``True``, on a terminal, and rich is not installed.
    """

    def __init__(
        self, steps: int, start: int = 0, enabled: bool | Literal["auto"] = True
    ) -> None:
        self._steps, self._done = steps, start
        self._shown: dict[str, float] = {}
        self._live: Any = None
        self._console: Any = None
        # (time, step) of about _RECENT_SECONDS ago and of the last drawing.
        self._past: tuple[float, int] | None = None
        self._rate: float | None = None
        self._next = 0.0
        # Without a terminal: whether lines are printed, and the step of a record that
        # waits for its line (the results of a test come after those of training).
        self._plain = bool(enabled) and not sys.stderr.isatty()
        self._waiting: int | None = None
        if self._plain and enabled == "auto":
            self._plain = False
        if self._plain or not enabled or not sys.stderr.isatty():
            return
        try:
            from rich.console import Console
        except ImportError:
            if enabled == "auto":
                return
            raise InputError(
                "the progress line needs rich: pip install 'jaxopt_lab[train]', or "
                "progress=False"
            ) from None
        self._console = Console(stderr=True)
        if not self._console.is_terminal:  # TERM=dumb
            self._plain, self._console = True, None

    def update(self, done: int, record: Mapping[str, Any]) -> None:
        """Record the progress of the run.

        Args:
          done: steps taken.
          record: new values, arrays with one number for each seed among them, whose
            mean is shown; ``loss`` and ``test_accuracy`` (or the first other name
            that begins with ``test_``) are shown, all others ignored.
        """
        if self._console is None and not self._plain:
            return
        now = time.perf_counter()
        if self._plain and self._waiting not in (None, done):
            self._draw(now)
        self._done = done
        if record:
            self._note(record)
        if self._plain:
            self._waiting = done if record or self._waiting == done else None
            if self._past is None and not record:
                self._draw(now)
        elif now >= self._next:
            self._draw(now)

    def __enter__(self) -> Self:
        if self._console is not None and self._console.is_terminal:
            from rich.live import Live

            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._console is None and not self._plain:
            return
        # A progress line must not hide the error that ends the run.
        with contextlib.suppress(OSError):
            self._draw(time.perf_counter())
            if self._live is not None:
                self._live.stop()

    def _note(self, record: Mapping[str, Any]) -> None:
        names = [name for name in record if name.startswith("test_")]
        others = [name for name in names if name != "test_loss"]
        metric = "test_accuracy" if "test_accuracy" in names else (others or names)[:1]
        for name in ("loss", *([metric] if isinstance(metric, str) else metric)):
            if name in record:
                self._shown[name] = float(np.mean(np.asarray(record[name])))

    def _draw(self, now: float) -> None:
        if self._past is None:
            self._past = (now, self._done)  # compiling ends with the first step
        since, at = self._past
        if now > since and self._done > at:
            self._rate = (self._done - at) / (now - since)
            if now - since > _RECENT_SECONDS:
                self._past = (now, self._done)
        parts = [f"step {self._done}/{self._steps}"]
        for name, value in self._shown.items():
            parts.append(f"{name.replace('_', ' ')} {value:.4g}")
        if self._rate is not None:
            seconds = round((self._steps - self._done) / self._rate)
            left = f"{seconds // 60}:{seconds % 60:02}"
            if seconds >= 3600:
                hours, minutes = divmod(seconds // 60, 60)
                left = f"{hours}:{minutes:02}:{seconds % 60:02}"
            rate = f"{self._rate:.0f}" if self._rate >= 100 else f"{self._rate:.3g}"
            parts += [f"{rate} steps/s", f"{left} left"]
        line = "  ".join(parts)
        if self._live is not None:
            from rich.text import Text

            self._live.update(Text(line, no_wrap=True), refresh=True)
            self._next = now + _REDRAW_SECONDS
        else:
            print(line, file=sys.stderr, flush=True)
