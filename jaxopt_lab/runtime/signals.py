"""Stop requests: SIGTERM and Ctrl-C end a run after a last save."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from types import FrameType, TracebackType
from typing import Any, Self

EXIT_CODES = {"SIGTERM": 143, "SIGINT": 130}
"""Exit status of a process whose run was ended by a signal: 128 and its number."""

# Two SIGINTs within this time count as one Ctrl-C: wrappers (uv, make, forked
# workers) may deliver it twice.
_ONE_PRESS_SECONDS = 0.2


class StopRequest:
    """Context that records the first SIGTERM or SIGINT instead of ending the process.

    The loop polls ``name`` and saves before it leaves. A second Ctrl-C quits at once,
    with 130 and without saving, even while a compilation blocks the main thread, since
    a separate thread handles it. Outside the main thread, where Python allows no
    handlers, nothing is changed and ``name`` stays ``None``.

    Attributes:
      name: ``"SIGTERM"``, ``"SIGINT"``, or ``None`` as long as nothing was asked.
    """

    def __init__(self) -> None:
        self.name: str | None = None
        self._before: dict[int, Any] = {}
        self._pipe: tuple[int, int] | None = None
        self._thread: threading.Thread | None = None
        self._wakeup_before = -1

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            return self
        self._pipe = os.pipe()
        os.set_blocking(self._pipe[1], False)
        self._thread = threading.Thread(
            target=self._watch, name="stop-request", daemon=True
        )
        self._thread.start()
        # Python runs handlers only between two bytecode instructions; the wakeup pipe
        # receives the number of the signal immediately.
        self._wakeup_before = signal.set_wakeup_fd(
            self._pipe[1], warn_on_full_buffer=False
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pipe is None or self._thread is None:
            return
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        os.close(self._pipe[1])
        self._thread.join()
        os.close(self._pipe[0])
        self._pipe = None

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.name = self.name or signal.Signals(number).name

    def _watch(self) -> None:
        assert self._pipe is not None
        first: float | None = None
        while byte := os.read(self._pipe[0], 1):
            if self._wakeup_before >= 0:
                with contextlib.suppress(OSError):
                    os.write(self._wakeup_before, byte)
            if byte[0] != signal.SIGINT:
                continue
            if first is None:
                first = time.monotonic()
                _say("\nstopping after this step; Ctrl-C again quits without saving\n")
            elif time.monotonic() - first > _ONE_PRESS_SECONDS:
                cursor = "\x1b[?25h" if sys.stderr.isatty() else ""
                _say(f"{cursor}\nstopped at once; the last steps were not saved\n")
                # An ordinary exit would wait for background saves.
                os._exit(EXIT_CODES["SIGINT"])


def _say(text: str) -> None:
    # A closed terminal must not keep the process from stopping.
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(text)
        sys.stderr.flush()
