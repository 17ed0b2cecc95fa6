"""Multi-process runs: start, agreement on stopping, joint failure."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.runtime.liveness import LivenessMonitor

_BEAT_SECONDS = 0.5
_SILENT_SECONDS = 15.0
# Wait this long for a local error: it says more than "process N is gone".
_GRACE_SECONDS = 0.5
# Timeouts of the runtime's own watchdog, in case ours hangs; its abort cannot be
# caught, and the defaults (100 s; 300 s to shut down) leave the others waiting for
# minutes. It may fire after half the time, and must not fire before ours.
_RUNTIME_HEARTBEAT = 45
_RUNTIME_SHUTDOWN = 30
_INITIALIZATION = 60
FAILED = 1
"""Exit status of a process that ends because of itself or of another."""


def start(
    coordinator: str, num_processes: int | None = None, process_id: int | None = None
) -> None:
    """Join the other processes; call it before any use of devices.

    Args:
      coordinator: ``"host:port"`` of process 0, or ``"auto"``: jax reads the addresses
        from the environment of SLURM, of Open MPI, of a TPU pod or of GKE.
      num_processes: their number; not with ``"auto"``.
      process_id: number of this process, from 0; not with ``"auto"``.

    Raises:
      InputError: a number is missing or out of range, or the environment names no
        cluster. A peer that never comes ends the process after a minute, without an
        exception: the runtime aborts.
    """
    explicit: dict[str, Any] = {}
    if coordinator != "auto":
        host, colon, port = coordinator.rpartition(":")
        if not (colon and host and port.isdigit()):
            raise InputError(
                f"coordinator={coordinator} is no address; accepted: host:port or auto"
            )
        if num_processes is None or num_processes < 1:
            raise InputError(
                f"coordinator={coordinator} needs processes=, how many there are; got "
                f"{num_processes}"
            )
        if process_id is None or not 0 <= process_id < num_processes:
            raise InputError(
                f"process={process_id} is out of range; accepted: 0 to "
                f"{num_processes - 1}"
            )
        explicit = {
            "coordinator_address": coordinator,
            "num_processes": num_processes,
            "process_id": process_id,
        }
    try:
        jax.distributed.initialize(
            **explicit,
            initialization_timeout=_INITIALIZATION,
            heartbeat_timeout_seconds=_RUNTIME_HEARTBEAT,
            shutdown_timeout_seconds=_RUNTIME_SHUTDOWN,
        )
    except ValueError as error:
        raise InputError(
            f"coordinator={coordinator}: {str(error).splitlines()[0]}"
        ) from error


def is_first() -> bool:
    """Whether this process writes the logs: it is the only one, or number 0."""
    return jax.process_index() == 0


def any_process(flag: bool) -> bool:
    """Whether the flag is set on any process; all must call it at the same step.

    Args:
      flag: the flag of this process.

    Returns:
      The same on all; with one process, ``flag``.
    """
    if jax.process_count() == 1:
        return flag
    from jax.experimental import multihost_utils

    found = multihost_utils.process_allgather(np.array(flag, np.int32))
    return bool(np.any(np.asarray(found)))


@contextlib.contextmanager
def fail_together(last_checkpoint: Callable[[], int | None]) -> Iterator[None]:
    """Context in which a failing process ends all others within seconds.

    With one process this does nothing. With several, an exception here, or a
    collective that fails because a peer is gone, ends the process at once: an ordinary
    exit would wait for minutes in a barrier, for peers that wait in a collective for
    this one. A peer that dies ends the process within a second; one that shows no sign
    of life for 15 s, hanging or out of reach, ends it too. A line on standard error
    names the process and the checkpoint from which any number of processes can resume.

    Args:
      last_checkpoint: gives the step of the last complete checkpoint, or ``None``.

    Yields:
      Nothing.
    """
    if jax.process_count() == 1:
        yield
        return
    watch = _Watch(last_checkpoint)
    watch.start()
    try:
        with _on_abort(
            lambda: watch.leave("stopped: the runtime lost a process", FAILED)
        ):
            yield
    except BaseException as error:
        if isinstance(error, SystemExit) and error.code in (0, None):
            raise
        status = 2 if isinstance(error, InputError) else FAILED
        if status == 2:
            # A save also fails because a peer is gone: let the monitor report that
            # first.
            time.sleep(2 * _GRACE_SECONDS)
        first = str(error).partition("\n")[0]
        watch.leave(f"stopped: {type(error).__name__}: {first}", status)
    finally:
        watch.stop()


@contextlib.contextmanager
def _on_abort(call: Callable[[], None]) -> Iterator[None]:
    """Call a function before the process aborts.

    When the coordinator is gone, the runtime aborts from a thread of its own, often
    before the collective has failed. Python's handlers run only between steps of the
    main thread, too late: this one is called by the aborting thread itself.
    """
    handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(lambda _: call())
    install = ctypes.CDLL(None).signal
    install.restype = ctypes.c_void_p
    install.argtypes = [ctypes.c_int, ctypes.c_void_p]
    before = install(signal.SIGABRT, ctypes.cast(handler, ctypes.c_void_p))
    try:
        yield
    finally:
        install(signal.SIGABRT, before)


class _Watch(threading.Thread):
    """Heartbeats of this process, and a watchdog for those of the others."""

    def __init__(self, last_checkpoint: Callable[[], int | None]) -> None:
        super().__init__(name="peers", daemon=True)
        # jax has no public API for the key-value store of its processes.
        from jax._src.distributed import global_state

        self._client: Any = global_state.client
        self._last_checkpoint = last_checkpoint
        self._done = threading.Event()
        self._leaving = threading.Lock()
        self._beats: dict[int, str] = {}
        self._answered = 0.0
        self._me, self._count = jax.process_index(), jax.process_count()
        self._monitor = LivenessMonitor(
            self._client, global_state.coordinator_address or "", self._me, self._gone
        )

    def run(self) -> None:
        """Send and check heartbeats until ``stop``."""
        seen: dict[int, tuple[str, float]] = {}
        asking = threading.Thread(target=self._ask, daemon=True, name="coordinator")
        self._answered = time.monotonic()
        asking.start()
        self._monitor.start()
        while not self._done.wait(_BEAT_SECONDS):
            now = time.monotonic()
            if now - self._answered > _SILENT_SECONDS:
                self.leave("stopped: process 0 shows no sign of life", FAILED)
            for other, beat in list(self._beats.items()):
                if seen.get(other, ("", 0.0))[0] != beat:
                    seen[other] = (beat, now)
                elif now - seen[other][1] > _SILENT_SECONDS and beat != "done":
                    self.leave(
                        f"stopped: process {other} shows no sign of life", FAILED
                    )

    def _ask(self) -> None:
        """Exchange heartbeats; a hanging coordinator blocks this thread alone."""
        beats = 0
        while not self._done.is_set():
            beats += 1
            try:
                self._client.key_value_set(
                    f"jaxopt_lab/alive/{self._me}", str(beats), allow_overwrite=True
                )
                found = self._client.key_value_dir_get("jaxopt_lab/alive/")
            except Exception:
                # The running collective fails as well, with a better message.
                time.sleep(_BEAT_SECONDS)
                continue
            self._beats = {int(k.rpartition("/")[2]): v for k, v in found}
            self._answered = time.monotonic()
            time.sleep(_BEAT_SECONDS)
        with contextlib.suppress(Exception):
            self._client.key_value_set(
                f"jaxopt_lab/alive/{self._me}", "done", allow_overwrite=True
            )

    def stop(self) -> None:
        """Stop the heartbeats and the monitor."""
        self._done.set()
        self._monitor.stop()

    def _gone(self, other: int) -> None:
        """Leave because another process has died, unless this one ends first."""
        if not self._done.wait(_GRACE_SECONDS):
            self.leave(f"stopped: process {other} is gone", FAILED)

    def leave(self, why: str, status: int) -> None:
        """Print the reason and end the process, without a barrier."""
        with self._leaving:
            try:
                step = self._last_checkpoint()
            except Exception:
                step = None
            saved = (
                "no checkpoint is complete"
                if step is None
                else f"last complete checkpoint: step {step}; start again with any "
                "number of processes to go on from it"
            )
            with contextlib.suppress(OSError, ValueError):
                sys.stderr.write(
                    f"\nprocess {self._me} of {self._count}: {why}; {saved}\n"
                )
                sys.stderr.flush()
                sys.stdout.flush()
            os._exit(status)
