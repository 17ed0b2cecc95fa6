"""Processes on one folder, killed at random moments: nothing complete is lost."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jax
import pytest

from jaxopt_lab.runtime import WALL_CLOCK, read_metrics

ROOT = Path(__file__).parents[2]
STEPS = 24
WORDS = ["task=digits", "model=mlp", "model.width=4", "method=sgd", "progress=off"]
WORDS += [f"steps={STEPS}", "log_every=1", "eval_every=6", "save_every=2", "keep=99"]

# Imports are what a process costs: one makes them, and each command is a fork of it.
FORKS = """
import os, sys
import jax, optax, orbax.checkpoint
import flax.nnx
from jaxopt_lab.lab.commands.train import main
from jaxopt_lab.lab import runs, report
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        folder, *words = line.split()
        out = os.open(folder + ".said", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        os.dup2(out, 1), os.dup2(out, 2)
        status = main([*words, "out=" + folder])
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(status)
    print(child, flush=True)
    while True:
        try:
            ended, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            break
        if ended == 0:
            break
"""


class Command:
    """A command that runs in a process of its own."""

    def __init__(self, forks, folder, *words):
        forks.stdin.write(" ".join([str(folder), *WORDS, *words]) + "\n")
        forks.stdin.flush()
        self.number = int(forks.stdout.readline())

    def alive(self):
        try:
            text = Path(f"/proc/{self.number}/stat").read_text()
        except OSError:
            return False
        return text.rpartition(")")[2].split()[0] != "Z"

    def wait(self, condition=lambda: False):
        """Until it has ended, or a condition holds."""
        deadline = time.monotonic() + 300
        while self.alive() and not condition():
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.002)

    def kill(self):
        if self.alive():
            os.kill(self.number, signal.SIGKILL)
        self.wait()


@pytest.fixture(scope="module")
def forks():
    cache = jax.config.jax_compilation_cache_dir  # pyright: ignore
    environment = {
        **os.environ,
        "XLA_FLAGS": "",
        "JAX_ENABLE_X64": "0",
        "JAX_COMPILATION_CACHE_DIR": str(cache),
    }
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    program = [sys.executable, "-c", FORKS]
    with subprocess.Popen(
        program, cwd=ROOT, env=environment, text=True, **pipes
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture(scope="module")
def whole(forks, tmp_path_factory):
    """The records of a run without interruption."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    Command(forks, folder).wait()
    return records(folder)


def records(folder):
    path = folder / "metrics.jsonl"
    return [
        {k: v for k, v in record.items() if k not in WALL_CLOCK}
        for record in (read_metrics(path) if path.exists() else [])
    ]


def complete(folder):
    """The bytes of every file of every complete checkpoint."""
    saved = folder / "checkpoints"
    numbers = (
        [p for p in saved.iterdir() if p.name.isdecimal()] if saved.exists() else []
    )
    files = (f for p in numbers for f in p.rglob("*") if f.is_file())
    return {str(f.relative_to(folder)): f.read_bytes() for f in files}


def said(folder):
    return Path(f"{folder}.said").read_text()


@pytest.mark.full(plain=["0", "1"])
@pytest.mark.parametrize("case", range(20))
def test_killed_at_random_nothing_complete_is_lost(case, forks, whole, tmp_path):
    chance = random.Random(case)
    folder, beside = tmp_path / "run", tmp_path / "thesis.tex"
    beside.write_text("all of it")
    kept, notes = {}, folder / "notes.txt"
    for _ in range(1 if case < 2 else 3):
        before = len(records(folder))
        first = Command(forks, folder)
        wanted = before + chance.randrange(1, 12)
        first.wait(lambda wanted=wanted: len(records(folder)) >= wanted)
        if folder.exists():
            notes.write_text("mine")
        if first.alive():
            # The folder is in use: refused, and nothing of the first is cleaned.
            second = Command(forks, folder)
            second.wait(lambda first=first: not first.alive())
            refused = not second.alive() and first.alive()
            if refused:
                assert "is in use by another process" in said(folder)
            time.sleep(chance.random() / 20)
            first.kill()
            second.kill()
        now = complete(folder)
        assert {name: now.get(name) for name in kept} == kept
        assert notes.read_text() == "mine"
        kept = now
    last = Command(forks, folder)
    last.wait()
    assert records(folder) == whole, said(folder)
    now = complete(folder)
    assert {name: now.get(name) for name in kept} == kept
    assert json.loads((folder / "summary.json").read_text())["complete"]
    assert (beside.read_text(), notes.read_text()) == ("all of it", "mine")
    assert not list(folder.rglob("*tmp*"))
