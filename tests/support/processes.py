"""Real processes that train, for what only a real process can show."""

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]

TRAIN = """
import sys, time
from pathlib import Path
import jax
jax.config.update("jax_enable_x64", True)
from support import tiny_run
from jaxopt_lab.runtime import EXIT_CODES

folder, steps, save_every, pause = Path(sys.argv[1]), *map(int, sys.argv[2:5])
if pause:
    loading = tiny_run.ArrayBatches.next
    def slow(self):
        time.sleep(pause / 1000)
        return loading(self)
    tiny_run.ArrayBatches.next = slow
result = tiny_run.train(folder, steps, save_every=save_every, log_every=1)
print("stopped", result.stopped, "at", int(result.state.step), flush=True)
sys.exit(EXIT_CODES[result.stopped] if result.stopped else 0)
"""


@contextlib.contextmanager
def program(text, *arguments):
    """A Python process that is gone when the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", text, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests"), "XLA_FLAGS": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_until(condition, process, seconds=120.0):
    """Poll; fails if the process ends first or the time is up."""
    deadline = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None:
            raise AssertionError(f"ended early: {process.communicate()}")
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)
