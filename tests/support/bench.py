"""A worktree of HEAD in which mutants are judged, one at a time.

Each run of tests is a fork of one process that has loaded jax and pytest and nothing
of ours, and takes compiled programs from a folder: a program that a mutant leaves as
it is costs no compilation. The tests named after the mutant's module run first, in one
process that stops at the first failure, the quick ones before those of the full run;
then rows of the battery that build from the module, and the nearest other tests by
imports. All have one limit of processor time; a mutant beyond it is killed where the
tests without it stay far below, and survives else.
"""

from __future__ import annotations

import dataclasses
import math
import os
import pathlib
import re
import resource
import signal
import subprocess
import sys
import time
from typing import Literal

from support import compiler
from support.import_graph import ImportGraph
from support.mutants import Mutant, applied

Verdict = dict[str, object]
_ROOT = pathlib.Path(__file__).parents[2]
# Of processor time for one mutant: by the wall clock other jobs would kill some.
SECONDS = 60.0
# Wall clock over processor time after which a test counts as waiting for ever.
_SLACK = 20
# A run that takes more than this share of its limit without the mutant proves nothing.
_FAR_BELOW = 0.4
# A run must have so many seconds left to be worth its start.
_WORTH = 8.0
_PURGED = ("support", "battery", "jaxopt_lab", "experiments", "tests", "conftest")
_FAILED = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Run:
    """What became of some tests.

    Attributes:
      outcome: passed, failed, or beyond the limit of time.
      seconds: of processor time.
      failed: node of the first test that failed, where one did.
    """

    outcome: Literal["passed", "failed", "late"]
    seconds: float
    failed: str = ""


class Bench:
    """A worktree of a repository's HEAD.

    Args:
      root: the repository.
      folder: where the worktree goes.
      cache: folder of compiled programs, kept from run to run.
    """

    def __init__(self, root: pathlib.Path, folder: pathlib.Path, cache: pathlib.Path):
        self.root, self.tree, self.cache = root, folder / "tree", cache
        self._git("worktree", "add", "--detach", "--quiet", str(self.tree), "HEAD")
        self.graph = ImportGraph(self.tree)
        self.output = folder / "output"
        self.unsound: set[str] = set()
        self.sound: set[str] = set()
        self.normal: dict[tuple[str, ...], Run] = {}
        _load(self.tree, cache)

    def close(self) -> None:
        """Remove the worktree."""
        self._git("worktree", "remove", "--force", str(self.tree))

    def _git(self, *words: str) -> None:
        subprocess.run(("git", *words), cwd=self.root, check=True)

    def judge(
        self, mutant: Mutant, path: str, commands: list[tuple[str, ...]]
    ) -> Verdict:
        """What became of a mutant, and which test said so.

        Args:
          mutant: the wrong line.
          path: where its file stands now.
          commands: words of pytest for each run, in their order.
        """
        file = self.tree / path
        text = file.read_text()
        mutated = applied(text, mutant)
        assert mutated is not None
        used = 0.0
        for command in commands:
            while SECONDS - used >= _WORTH:
                limit = SECONDS - used
                file.write_text(mutated)
                try:
                    run = self._run(command, limit)
                finally:
                    file.write_text(text)
                used += run.seconds
                if run.outcome == "failed" and not self._is_sound(run.failed):
                    continue
                if run.outcome == "failed":
                    return {"outcome": "killed", "by": run.failed, "seconds": used}
                if run.outcome == "late" and self._is_quick(command, limit):
                    return {"outcome": "timed out", "by": command, "seconds": used}
                break
        whole = "" if SECONDS - used >= _WORTH else "the limit of time"
        return {"outcome": "survived", "seconds": round(used, 1), "ended by": whole}

    def _is_sound(self, node: str) -> bool:
        """Whether a test passes without a mutant; else no mutant is killed by it."""
        if node not in self.sound | self.unsound:
            # A file that cannot be loaded is a node as well.
            how = "--full" if "::" in node else "--collect-only"
            sound = self._run((how, node), 5 * SECONDS).outcome == "passed"
            (self.sound if sound else self.unsound).add(node)
        return node in self.sound

    def _is_quick(self, command: tuple[str, ...], limit: float) -> bool:
        """Whether the tests without a mutant end long before the limit."""
        if command not in self.normal:
            self.normal[command] = self._run(command, SECONDS)
        run = self.normal[command]
        return run.outcome == "passed" and run.seconds < _FAR_BELOW * limit

    def _run(self, command: tuple[str, ...], limit: float) -> Run:
        """Run pytest in a fork of this process."""
        left = [f"--deselect={node}" for node in sorted(self.unsound)]
        words = ["-n", "0", "-x", "-q", "--tb=no", *left, *command]
        allowed = math.ceil(limit)
        child = os.fork()
        if child == 0:
            try:
                _in_child(self.tree, self.output, words, allowed)
            finally:
                os._exit(3)
        begin = time.monotonic()
        while True:
            ended, status, used = os.wait4(child, os.WNOHANG)
            if ended:
                break
            if time.monotonic() - begin > _SLACK * limit:
                os.killpg(child, signal.SIGKILL)
                _, status, used = os.wait4(child, 0)
                break
            time.sleep(0.05)
        seconds = round(used.ru_utime + used.ru_stime, 1)
        code = os.waitstatus_to_exitcode(status)
        if code in (-signal.SIGXCPU, -signal.SIGKILL):
            return Run("late", seconds)
        # 5: all tests of the command wait for the full run, or none has that name.
        if code in (0, 5):
            return Run("passed", seconds)
        found = _FAILED.search(self.output.read_text(errors="replace"))
        return Run("failed", seconds, found.group(1) if found else command[-1])


def _load(tree: pathlib.Path, cache: pathlib.Path) -> None:
    """Load what all tests need, in the setting of ``tests/conftest.py``."""
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(cache)
    os.environ["PYTHONPATH"] = str(tree)
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    os.environ.setdefault("MPLBACKEND", "Agg")
    flag = "--xla_force_host_platform_device_count=8"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}".strip()
    compiler.choose()
    import flax.nnx
    import hypothesis
    import jax
    import optax
    import pytest
    import scipy.optimize

    assert all((flax.nnx, hypothesis, jax, optax, pytest, scipy.optimize))


def _in_child(
    tree: pathlib.Path, output: pathlib.Path, words: list[str], seconds: int
) -> None:
    os.setsid()
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(file, stream)
    for name in list(sys.modules):
        if name.split(".")[0] in _PURGED:
            del sys.modules[name]
    ours = (str(_ROOT), str(_ROOT / "tests"), "")
    sys.path[:] = [str(tree), *(path for path in sys.path if path not in ours)]
    sys.dont_write_bytecode = True
    os.chdir(tree)
    import pytest

    code = int(pytest.main(words))
    sys.stdout.flush()
    os._exit(code)
