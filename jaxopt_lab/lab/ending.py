"""The end of a command's process: no Ctrl-C is lost, none ends in a crash."""

from __future__ import annotations

import _thread
import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any, NoReturn

STOPPED = (130, 143)
"""Exit statuses after Ctrl-C and SIGTERM."""
_AGAIN = 0.05


@contextlib.contextmanager
def heeding_interrupts() -> Iterator[None]:
    """A context in which a Ctrl-C counts even where Python drops its exception.

    Python reports an exception in a callback of the garbage collector (jax has one) or
    in a destructor, and goes on; there the interrupt is raised once more, a moment
    later, in the main thread.
    """
    before, timers = sys.unraisablehook, []

    def hook(dropped: Any, /) -> None:
        if not issubclass(dropped.exc_type, KeyboardInterrupt):
            before(dropped)
            return
        timer = threading.Timer(_AGAIN, _thread.interrupt_main)
        timer.daemon = True
        timers.append(timer)
        timer.start()

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before
        for timer in timers:
            timer.cancel()


def interrupted(error: BaseException | None) -> bool:
    """Whether a Ctrl-C is behind an error, as in an extension that was being imported.

    >>> interrupted(ValueError())
    False
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, KeyboardInterrupt):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False


def leave(status: int) -> NoReturn:
    """End the process.

    After a signal at once: the devices may still compute or compile, and XLA does not
    stand it when Python takes its objects away meanwhile.

    Args:
      status: exit status of a command.

    Raises:
      SystemExit: where no signal came.
    """
    if status not in STOPPED:
        sys.exit(status)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)
