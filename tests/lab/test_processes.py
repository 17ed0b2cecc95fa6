"""Two processes on loopback: one run, and one end."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from support.processes import ROOT

from experiments.benchmarks import lost_process
from experiments.benchmarks.lost_process import LONG, Processes, raising
from jaxopt_lab.data.digits import load_digits
from jaxopt_lab.runtime import read_metrics

pytestmark = pytest.mark.full

OPTIONS = ["model=mlp", "log_every=5", "schedule=constant", "progress=off"]


def alone(folder, *words):
    flags = "--xla_force_host_platform_device_count=1"
    subprocess.run(
        [
            sys.executable,
            "-m",
            "jaxopt_lab.lab.commands.train",
            *OPTIONS,
            *words,
            f"out={folder}",
        ],
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


@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process_takes_the_other_along(tmp_path, victim):
    folder = tmp_path / "run"
    with Processes(folder, *LONG) as running:
        running.wait_for_checkpoint()
        running.all[victim].send_signal(signal.SIGKILL)
        # 1 s on a quiet machine; silence alone would be noticed after 15 s.
        assert running.seconds_until_exit(1 - victim, 20) < 10
        assert running.all[1 - victim].returncode == 1
        said = running.said(1 - victim)
        assert f"process {1 - victim} of 2: stopped" in said
        assert "last complete checkpoint: step" in said


def test_a_process_that_hangs_is_left(tmp_path):
    folder = tmp_path / "run"
    with Processes(folder, *LONG) as running:
        running.wait_for_checkpoint()
        running.all[1].send_signal(signal.SIGSTOP)
        assert running.seconds_until_exit(0, 60) > 5
        assert running.all[0].returncode == 1
        assert "process 1 shows no sign of life" in running.said(0)


def test_an_exception_in_one_ends_both(tmp_path):
    with Processes(tmp_path / "run", *LONG, program=raising(1)) as running:
        assert running.all[1].wait(timeout=240) == 1
        assert running.seconds_until_exit(0, 20) < 10
        assert running.all[0].returncode == 1
        assert "process 1 of 2: stopped: RuntimeError: planted" in running.said(1)
        assert "process 0 of 2: stopped" in running.said(0)
        for i in (0, 1):
            assert "last complete checkpoint: step" in running.said(i)


def test_a_signal_to_one_saves_and_stops_both(tmp_path):
    folder = tmp_path / "run"
    with Processes(folder, *LONG) as running:
        running.wait_for_checkpoint()
        running.all[1].send_signal(signal.SIGTERM)
        assert running.wait() == [143, 143], running.said(0) + running.said(1)
    assert "SIGTERM: saved at step" in running.said(0)


def test_the_benchmark_knows_how_the_other_left(tmp_path):
    left = lost_process.lose(lost_process.CASES[0], tmp_path)
    assert left.status == 1 and left.told and left.seconds < 10
