"""What a run of the suite costs, in counts that do not depend on the machine.

A pytest plugin. At the end it prints the tests collected, the programs compiled, the
processor time of all processes, raw and over that of a fixed piece of work done in
the same job, and the memory of the largest process. With ``--limits``, or in CI, a
plain run starts from an empty compilation cache and fails beyond what
``tests/limits.json`` allows. No number of seconds can fail.
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import Any

import jax
import pytest

from support import resident
from support.tiers import COLLECTED

LIMITS = pathlib.Path(__file__).parents[1] / "limits.json"
_COMPILED = "/jax/core/compile/backend_compile_duration"
_PLAIN = {
    "full": False,
    "changed": None,
    "reached_by": [],
    "keyword": "",
    "markexpr": "",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("tiers").addoption(
        "--limits",
        action="store_true",
        help="fail where the counts of a plain run leave tests/limits.json",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("limits") and not _whole(config):
        raise pytest.UsageError(
            "--limits: they are those of the plain run of all tests"
        )
    config.pluginmanager.register(Counts(config), "suite-counts")


def _worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def _whole(config: pytest.Config) -> bool:
    """Whether this process starts the plain run of all tests."""
    return (
        not _worker(config)
        and config.args_source == config.ArgsSource.TESTPATHS
        and not config.getoption("collectonly")
        and all(config.getoption(name) == value for name, value in _PLAIN.items())
    )


def _own_seconds() -> float:
    now = os.times()
    return now.user + now.system


class Counts:
    """The counts of one process, and in the first one those of all.

    Args:
      config: of the run.
    """

    def __init__(self, config: pytest.Config):
        self.programs = 0
        self.parts: list[dict[str, float]] = []
        self.lines: list[str] = []
        self.whole = _whole(config)
        in_ci = os.environ.get("CI", "").lower() in ("1", "true")
        self.judged = self.whole and (config.getoption("limits") or in_ci)
        self.cache: str | None = None
        if self.judged:
            # The processes of the run inherit it.
            self.cache = tempfile.mkdtemp(prefix="xla-tests-")
            os.environ["JAX_COMPILATION_CACHE_DIR"] = self.cache
            jax.config.update("jax_compilation_cache_dir", self.cache)
        jax.monitoring.register_event_duration_secs_listener(self._on_event)

    def _on_event(self, event: str, duration: float, **_: object) -> None:
        self.programs += event == _COMPILED

    def own(self, session: pytest.Session) -> dict[str, float]:
        """The counts of this process."""
        children = os.times()
        return {
            "collected": session.config.stash.get(COLLECTED, 0),
            "selected": len(getattr(session, "items", ())),
            "programs": self.programs,
            "seconds": _own_seconds()
            + children.children_user
            + children.children_system,
            "peak": resident.peak(),
        }

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        part = getattr(node, "workeroutput", {}).get("counts")
        if part:
            self.parts.append(part)

    # First: pytest-xdist sends what a worker has to say in its own hook.
    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        config = session.config
        if _worker(config):
            config.workeroutput["counts"] = self.own(session)  # type: ignore[attr-defined]
            return
        if config.getoption("collectonly"):
            return
        # The workers are children of this process; theirs are counted by themselves.
        parts = self.parts or [self.own(session)]
        total = summed(parts)
        if self.parts:
            total["seconds"] += _own_seconds()
        unit = reference_seconds(len(parts)) if self.whole else None
        self.lines = report(total, unit)
        if self.judged:
            broken = beyond(total, unit, json.loads(LIMITS.read_text()))
            self.lines += [f"beyond tests/limits.json: {line}" for line in broken]
            if broken and session.exitstatus in (0, pytest.ExitCode.OK):
                session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if self.cache:
            shutil.rmtree(self.cache, ignore_errors=True)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self.lines:
            terminalreporter.section("what it took")
            for line in self.lines:
                terminalreporter.write_line(line)


def summed(parts: list[dict[str, float]]) -> dict[str, float]:
    """Counts of all processes; every one of them collects all tests."""
    return {
        "collected": max(part["collected"] for part in parts),
        "selected": max(part["selected"] for part in parts),
        "programs": sum(part["programs"] for part in parts),
        "seconds": sum(part["seconds"] for part in parts),
        "peak": max(part["peak"] for part in parts),
    }


def reference_seconds(copies: int) -> float:
    """Processor time of the fixed piece of work, with as many at once as in the run."""
    folder = pathlib.Path(__file__).parents[1]
    environ = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    command = [sys.executable, "-m", "support.reference_work"]
    running = [
        subprocess.Popen(
            command, cwd=folder, env=environ, stdout=subprocess.PIPE, text=True
        )
        for _ in range(copies)
    ]
    spent = [float(process.communicate()[0]) for process in running]
    return sum(spent) / len(spent)


def report(total: Mapping[str, float], unit: float | None) -> list[str]:
    """Lines that say what a run took."""
    time = f"{total['seconds']:,.0f} s of processor time"
    if unit:
        time += f", {total['seconds'] / unit:,.1f} times the reference of {unit:.1f} s"
    return [
        f"{total['collected']:,.0f} tests collected, {total['selected']:,.0f} selected",
        f"{total['programs']:,.0f} programs compiled",
        time,
        f"{total['peak'] / 1e9:.2f} GB of memory in the largest process",
    ]


def beyond(
    total: Mapping[str, float], unit: float | None, limits: Mapping[str, float]
) -> list[str]:
    """One line for each count that leaves its limits."""
    counts = {
        "tests collected": total["collected"],
        "programs compiled": total["programs"],
        "processor time over the reference": total["seconds"] / unit if unit else 0.0,
    }
    found = []
    for name, limit in limits.items():
        count, _, end = name.rpartition(", ")
        value = counts[count]
        if value > limit if end == "at most" else value < limit:
            found.append(f"{value:,.1f} {count}, {end} {limit:,} allowed")
    return found
