"""Time until the others stop when one of several processes is lost.

Run as ``python -m experiments.benchmarks.lost_process [--repeats N] [--json FILE]``.
Two processes of two virtual devices train a small network on this machine, and one is
killed, raises, or hangs. Printed are the seconds until the other has left, its exit
status, and whether its last line names the lost process and the checkpoint from which
to go on. The bars: 2 s after a crash or an exception, 30 s after a process hangs.
Seconds of a busy machine are longer; nothing else may run beside.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from experiments.benchmarks import options
from jaxopt_lab.core.files import Closing

ROOT = Path(__file__).resolve().parents[2]
LONG = ("steps=1000000", "save_every=5", "eval_every=0")
"""A run that ends by being ended."""
_OPTIONS = ("model=mlp", "log_every=5", "schedule=constant", "progress=off")


def raising(process: int) -> str:
    """A program that trains, in which one process raises after some steps."""
    return f"""
import sys
from experiments import train
from jaxopt_lab.data import mesh_batches
given = mesh_batches.MeshBatches.next
count = 0
def failing(self):
    global count
    count += 1
    if count > 12 and "process={process}" in sys.argv:
        raise RuntimeError("planted")
    return given(self)
mesh_batches.MeshBatches.next = failing
sys.exit(train.main(sys.argv[1:]))
"""


class Processes(Closing):
    """Some processes of one run, gone when the block ends."""

    def __init__(
        self,
        folder: Path,
        *words: str,
        count: int = 2,
        devices: int = 2,
        program: str | None = None,
    ) -> None:
        """Start them.

        Args:
          folder: of the run; their standard error is beside it.
          *words: options of ``jaxopt_lab.lab.commands.train``.
          count: how many.
          devices: virtual devices of each.
          program: Python source to run instead of ``jaxopt_lab.lab.commands.train``.
        """
        where = _address()
        flags = f"--xla_force_host_platform_device_count={devices}"
        run = ["-m", "experiments.train"] if program is None else ["-c", program]
        self.folder = folder
        self.all: list[subprocess.Popen[bytes]] = []
        self._errors: list[Path] = []
        for i in range(count):
            errors = folder.parent / f"errors{i}-{where.rpartition(':')[2]}"
            own = [f"coordinator={where}", f"processes={count}", f"process={i}"]
            self._errors.append(errors)
            with errors.open("wb") as said:
                command = [sys.executable, *run, *_OPTIONS, *words, f"out={folder}"]
                self.all.append(
                    subprocess.Popen(
                        [*command, *own],
                        cwd=ROOT,
                        env={**os.environ, "XLA_FLAGS": flags},
                        stdout=subprocess.DEVNULL,
                        stderr=said,
                    )
                )

    def close(self) -> None:
        """End those that still run."""
        for process in self.all:
            process.kill()
            process.wait()

    def said(self, i: int) -> str:
        """Standard error of process ``i``."""
        return self._errors[i].read_text()

    def wait(self) -> list[int]:
        """The exit statuses of all."""
        return [process.wait(timeout=240) for process in self.all]

    def wait_for_checkpoint(self, step: int = 5, seconds: float = 200.0) -> None:
        """Return soon after the checkpoint of a step is complete.

        Raises:
          RuntimeError: a process ended before, or it took too long.
        """
        deadline = time.monotonic() + seconds
        while not (self.folder / "checkpoints" / str(step)).exists():
            ended = any(process.poll() is not None for process in self.all)
            if ended or time.monotonic() > deadline:
                raise RuntimeError("".join(map(self.said, range(len(self.all)))))
            time.sleep(0.05)
        time.sleep(1.0)

    def seconds_until_exit(self, i: int, limit: float) -> float:
        """Seconds from now to the end of process ``i``."""
        began = time.monotonic()
        self.all[i].wait(timeout=limit)
        return time.monotonic() - began


def _address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


class Case(NamedTuple):
    """One way to lose a process.

    Attributes:
      name: in the table.
      victim: number of the process that is lost; 0 is the coordinator.
      signal: what it is sent; ``None``: it raises by itself.
      bar: seconds in which the other has to leave.
    """

    name: str
    victim: int
    signal: signal.Signals | None
    bar: float


CASES = (
    Case("worker killed", 1, signal.SIGKILL, 2.0),
    Case("coordinator killed", 0, signal.SIGKILL, 2.0),
    Case("worker raises", 1, None, 2.0),
    Case("coordinator raises", 0, None, 2.0),
    Case("worker hangs", 1, signal.SIGSTOP, 30.0),
    Case("coordinator hangs", 0, signal.SIGSTOP, 30.0),
)


class Left(NamedTuple):
    """The end of the other process.

    Attributes:
      seconds: from the loss to its exit.
      status: its exit status.
      told: whether it named itself or the lost process, and the checkpoint.
    """

    seconds: float
    status: int
    told: bool


def lose(case: Case, folder: Path) -> Left:
    """Lose a process and see the other leave.

    Args:
      case: how.
      folder: an empty folder for the run.

    Returns:
      How the other left.
    """
    other = 1 - case.victim
    program = None if case.signal else raising(case.victim)
    with Processes(folder / "run", *LONG, program=program) as running:
        running.wait_for_checkpoint()
        if case.signal:
            running.all[case.victim].send_signal(case.signal)
        else:
            running.all[case.victim].wait(timeout=240)
        seconds = running.seconds_until_exit(other, 400)
        line = rf"process {other} of 2: stopped.*last complete checkpoint: step \d+"
        told = re.search(line, running.said(other)) is not None
        return Left(seconds, running.all[other].returncode, told)


def main(words: Sequence[str] | None = None) -> None:
    """Print the table.

    Args:
      words: the command line; ``None``: the program's.
    """
    parser = options.parser(__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="losses of each kind")
    parser.add_argument("--json", default="", help="also write the figures here")
    chosen = parser.parse_args(words)
    if chosen.repeats < 1:
        parser.error(f"--repeats {chosen.repeats} is out of range; accepted: [1, inf)")
    from rich.console import Console
    from rich.table import Table

    table = Table("loss", "seconds, median", "most", "bar", "status", "line")
    figures = []
    for case in CASES:
        found = []
        for _ in range(chosen.repeats):
            with tempfile.TemporaryDirectory() as folder:
                found.append(lose(case, Path(folder)))
        seconds = [left.seconds for left in found]
        told = sum(left.told for left in found)
        statuses = sorted({left.status for left in found})
        table.add_row(
            case.name,
            f"{statistics.median(seconds):.2f}",
            f"{max(seconds):.2f}",
            f"{case.bar:.0f}",
            ", ".join(map(str, statuses)),
            f"{told} of {len(found)}",
        )
        figures += [{"loss": case.name, **left._asdict()} for left in found]
    Console().print(table)
    if chosen.json:
        Path(chosen.json).write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
