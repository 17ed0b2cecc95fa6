"""Stopping on SIGTERM and Ctrl-C after a last save."""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any, Self

EXIT_CODES = {"SIGTERM": 0, "SIGINT": 130}


class StopRequest:
    """While entered, notes the first SIGTERM or SIGINT instead of dying of it.

    The loop polls ``name`` and saves before it leaves. A second Ctrl-C quits at once,
    with 130 and without saving. Outside the main thread, where Python allows no
    handlers, nothing is changed and ``name`` stays ``None``.

    Attributes:
      name: ``"SIGTERM"``, ``"SIGINT"``, or ``None`` as long as nothing was asked.
    """

    def __init__(self) -> None:
        self.name: str | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.name == "SIGINT" and number == signal.SIGINT:
            sys.stderr.write("\nstopped at once; the last step was not saved\n")
            sys.stderr.flush()
            # Background saves would hold an ordinary exit back.
            os._exit(EXIT_CODES["SIGINT"])
        self.name = signal.Signals(number).name
