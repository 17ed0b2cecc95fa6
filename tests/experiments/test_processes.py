"""Two processes on loopback: one run, and one end."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from support.processes import ROOT

from jaxopt_lab.training import read_metrics
from jaxopt_lab.training.data.digits import load_digits

pytestmark = pytest.mark.slow

OPTIONS = ["model=mlp", "log_every=5", "schedule=constant", "progress=off"]


def address():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


class Processes:
    """Some processes of one run, gone when the block ends."""

    def __init__(self, folder, *words, count=2, devices=2, program=None):
        where = address()
        flags = f"--xla_force_host_platform_device_count={devices}"
        command = [sys.executable, "-m", "experiments.train"]
        if program is not None:
            command = [sys.executable, "-c", program]
        self.all = []
        self.errors = []
        for i in range(count):
            errors = Path(folder).parent / f"errors{i}-{where[-5:]}"
            own = [f"coordinator={where}", f"processes={count}", f"process={i}"]
            self.errors.append(errors)
            self.all.append(
                subprocess.Popen(
                    [*command, *OPTIONS, *words, f"out={folder}", *own],
                    cwd=ROOT,
                    env={**os.environ, "XLA_FLAGS": flags},
                    stdout=subprocess.DEVNULL,
                    stderr=os.open(errors, os.O_RDWR | os.O_CREAT),
                )
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.all:
            process.kill()
            process.wait()

    def said(self, i):
        return self.errors[i].read_text()

    def wait(self):
        return [process.wait(timeout=240) for process in self.all]


def alone(folder, *words):
    flags = "--xla_force_host_platform_device_count=1"
    subprocess.run(
        [sys.executable, "-m", "experiments.train", *OPTIONS, *words, f"out={folder}"],
        cwd=ROOT,
        env={**os.environ, "XLA_FLAGS": flags},
        stdout=subprocess.DEVNULL,
        check=True,
        timeout=240,
    )


def losses(folder):
    records = read_metrics(folder / "metrics.jsonl")
    return [float(np.ravel(r["loss"])[0]) for r in records]


DOUBLE = ["model.dtype=float64", "save_every=10", "eval_every=10", "zero=true"]


@pytest.mark.parametrize(
    "base, devices", [("momentum", 2), ("adamw4bit", 4), ("ldadam", 4)]
)
def test_two_processes_are_one_and_go_on_as_one(tmp_path, monkeypatch, base, devices):
    monkeypatch.setenv("JAX_ENABLE_X64", "1")
    words = [*DOUBLE, f"base={base}"]
    undivided = [word for word in words if word != "zero=true"]
    alone(tmp_path / "whole", *undivided, "steps=20")
    folder = tmp_path / "run"
    with Processes(folder, *words, "steps=10", devices=devices) as running:
        assert running.wait() == [0, 0], running.said(0) + running.said(1)
    # Saved by two processes with a divided state, continued by one without.
    alone(folder, *undivided, "steps=20", "existing=continue")
    np.testing.assert_allclose(losses(folder), losses(tmp_path / "whole"), rtol=1e-12)


def test_one_process_goes_on_as_four(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_ENABLE_X64", "1")
    words = [*DOUBLE[:-1], "base=microadam"]
    alone(tmp_path / "whole", *words, "steps=20")
    folder = tmp_path / "run"
    alone(folder, *words, "steps=10")
    more = [*words, "zero=true", "steps=20", "existing=continue"]
    with Processes(folder, *more, count=4, devices=1) as running:
        assert running.wait() == [0] * 4, "".join(map(running.said, range(4)))
    np.testing.assert_allclose(losses(folder), losses(tmp_path / "whole"), rtol=1e-12)
    settings = json.loads((folder / "config.json").read_text())
    assert "process" not in settings


def test_a_streamed_set_is_read_in_parts(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_ENABLE_X64", "1")
    load_digits(tmp_path / "tfds")
    words = [
        "task=tfds:digits",
        f"data_dir={tmp_path / 'tfds'}",
        *("image_size=12", "augment=crop_flip", "batch_size=16"),
        *("model.width=8", "steps=10", *DOUBLE[:-1]),
    ]
    alone(tmp_path / "one", *words)
    with Processes(tmp_path / "two", *words) as running:
        assert running.wait() == [0, 0], running.said(0) + running.said(1)
    np.testing.assert_allclose(
        losses(tmp_path / "two"), losses(tmp_path / "one"), rtol=1e-12
    )


def started(running, folder, seconds=200):
    """Wait for the first complete checkpoint."""
    deadline = time.monotonic() + seconds
    while not (folder / "checkpoints" / "5").exists():
        assert time.monotonic() < deadline, running.said(0) + running.said(1)
        for process in running.all:
            assert process.poll() is None, running.said(0) + running.said(1)
        time.sleep(0.05)
    time.sleep(1.0)


def exit_seconds(process, limit):
    began = time.monotonic()
    status = process.wait(timeout=limit)
    assert status != 0
    return time.monotonic() - began


LONG = ["steps=1000000", "save_every=5", "eval_every=0"]


@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process_takes_the_other_along(tmp_path, victim):
    folder = tmp_path / "run"
    with Processes(folder, *LONG) as running:
        started(running, folder)
        running.all[victim].send_signal(signal.SIGKILL)
        # 1 s on a quiet machine; silence alone would be noticed after 15 s.
        assert exit_seconds(running.all[1 - victim], 20) < 10
        said = running.said(1 - victim)
        assert f"process {1 - victim} of 2: stopped" in said
        assert "last complete checkpoint: step" in said


def test_a_process_that_hangs_is_left(tmp_path):
    folder = tmp_path / "run"
    with Processes(folder, *LONG) as running:
        started(running, folder)
        running.all[1].send_signal(signal.SIGSTOP)
        assert exit_seconds(running.all[0], 60) > 5
        assert "process 1 shows no sign of life" in running.said(0)


RAISING = """
import sys
from experiments import train
from jaxopt_lab.training.data import mesh_batches
given = mesh_batches.MeshBatches.next
count = 0
def failing(self):
    global count
    count += 1
    if count > 12 and "process=1" in sys.argv:
        raise RuntimeError("planted")
    return given(self)
mesh_batches.MeshBatches.next = failing
sys.exit(train.main(sys.argv[1:]))
"""


def test_an_exception_in_one_ends_both(tmp_path):
    with Processes(tmp_path / "run", *LONG, program=RAISING) as running:
        assert running.all[1].wait(timeout=240) == 1
        assert exit_seconds(running.all[0], 20) < 10
        assert "process 1 of 2: stopped: RuntimeError: planted" in running.said(1)
        assert "process 0 of 2: stopped" in running.said(0)
        for i in (0, 1):
            assert "last complete checkpoint: step" in running.said(i)


def test_a_signal_to_one_saves_and_stops_both(tmp_path):
    folder = tmp_path / "run"
    with Processes(folder, *LONG) as running:
        started(running, folder)
        running.all[1].send_signal(signal.SIGTERM)
        assert running.wait() == [0, 0], running.said(0) + running.said(1)
    assert "SIGTERM: saved at step" in running.said(0)
