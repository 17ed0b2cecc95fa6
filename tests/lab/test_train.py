"""Whole runs of the command, as small as they can be."""

import json
import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from support import cases

from jaxopt_lab import catalog
from jaxopt_lab.lab import history, optimizers, report, runs
from jaxopt_lab.lab.command_line import parse
from jaxopt_lab.lab.commands.train import main
from jaxopt_lab.runtime import WALL_CLOCK, read_metrics

ROOT = pathlib.Path(__file__).parents[2]
TINY = ["task=digits", "model=mlp", "model.width=8", "log_every=2", "eval_every=4"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of two seeds that was taken to its end."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    words = [*TINY, "seeds=2", "steps=8", "save_every=4", f"out={folder}"]
    assert main(words) == 0
    return folder, words


def lines(folder):
    records = read_metrics(folder / "metrics.jsonl")
    return [{k: v for k, v in r.items() if k not in WALL_CLOCK} for r in records]


@pytest.mark.full
def test_a_run_leaves_its_results(finished, capsys):
    folder, _ = finished
    names = {path.name for path in folder.iterdir()}
    assert names >= {
        "config.json",
        "metrics.jsonl",
        "summary.json",
        "curves.png",
        "checkpoints",
    }
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["steps"] == 8 and len(summary["final_accuracy"]) == 2
    assert summary["state_bytes_per_parameter"] == pytest.approx(4, abs=0.2)
    last = [r for r in lines(folder) if r["kind"] == "test"][-1]
    assert summary["final_accuracy"] == last["accuracy"]
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    report.print_summary(summary, folder)
    printed = capsys.readouterr().out
    shown = re.search(r"final test accuracy\W+([0-9.]+)", printed).group(1)
    assert float(shown) == pytest.approx(100 * np.mean(last["accuracy"]), abs=0.005)


@pytest.mark.full
def test_the_learning_rate_in_the_log_is_the_schedule(finished):
    folder, words = finished
    rates = {r["step"]: r for r in lines(folder) if r["kind"] == "train"}
    schedule = optimizers.learning_rate(parse(words).run, 0.05)
    name = next(k for k in rates[2] if k.endswith("learning_rate"))
    # The record of step n has the rate that step n used, its n-th update.
    for step, record in rates.items():
        assert record[name] == pytest.approx(float(schedule(step - 1)), rel=1e-6)
    assert any(k.endswith("rho") for k in rates[2])


@pytest.mark.full
def test_a_finished_run_is_not_trained_again(finished, capsys):
    folder, words = finished
    before = contents(folder)
    assert main(words) == 0
    assert "complete already" in capsys.readouterr().out
    assert contents(folder) == before


@pytest.mark.full
@pytest.mark.parametrize(
    "changed, said",
    [
        (["rho=0.2"], "rho was 0.05, now 0.2; existing=continue"),
        (["rho=0.2", "existing=continue"], "would take no step"),
        (["steps=16", "model.width=9", "existing=continue"], "does not fit"),
        (["batch_size=2000", "existing=overwrite"], "2000"),
    ],
)
def test_a_refused_command_leaves_the_folder_as_it_was(changed, said, finished, capsys):
    folder, words = finished
    before = contents(folder)
    names = [word.split("=")[0] for word in changed]
    kept = [word for word in words if word.split("=")[0] not in names]
    assert main([*kept, *changed]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert contents(folder) == before


def contents(folder):
    files = (p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


@pytest.mark.full
def test_continued_and_overwritten_runs_keep_their_record(tmp_path, capsys):
    folder = tmp_path / "run"
    words = [*TINY, "method=sgd", "save_every=2", "val=0.1", f"out={folder}"]
    assert main([*words, "steps=4"]) == 0
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["complete"] and summary["selected_on"] == "validation"
    assert (summary["steps"], summary["skipped"]) == (4, 0)
    for name in ("versions", "commit", "command", "host", "mesh", "wall_seconds"):
        assert name in summary
    more = ["steps=6", "learning_rate=0.3", "existing=continue", "tensorboard=true"]
    assert main([*words, *more]) == 0
    told = [
        (e["from_step"], e["configuration"]["learning_rate"])
        for e in history.read(folder)
    ]
    assert told == [(0, 0.1), (4, 0.3)]
    times = [r["time"] for r in read_metrics(folder / "metrics.jsonl")]
    assert times == sorted(times)
    (folder / "notes.txt").write_text("mine")
    assert main([*words, "steps=2", "existing=overwrite"]) == 0
    assert [e["from_step"] for e in history.read(folder)] == [0]
    assert (folder / "notes.txt").read_text() == "mine"
    assert not (folder / "tensorboard").exists()
    assert [p.name for p in (folder / "checkpoints").iterdir()] == ["2"]


@pytest.mark.full
def test_seeds_of_several_are_the_runs_of_each(finished, tmp_path):
    folder, words = finished
    alone = tmp_path / "alone"
    changed = ["seeds=1", "seed=1", f"out={alone}"]
    kept = [w for w in words if w.split("=")[0] not in ("seeds", "out")]
    assert main([*kept, *changed]) == 0
    for many, one in zip(lines(folder), lines(alone), strict=True):
        np.testing.assert_allclose(many["loss"][1], one["loss"], rtol=1e-5)


@pytest.mark.full
def test_a_run_in_two_pieces_is_the_run_in_one(finished, tmp_path):
    folder, words = finished
    piece = tmp_path / "piece"
    script = (
        "import os, signal, sys\n"
        "from experiments import train\n"
        "from jaxopt_lab.runtime.metrics import JsonLines\n"
        "write = JsonLines.write\n"
        "def stopping(self, step, record):\n"
        "    write(self, step, record)\n"
        "    if step == 6: os.kill(os.getpid(), signal.SIGTERM)\n"
        "JsonLines.write = stopping\n"
        "sys.exit(train.main(sys.argv[1:]))\n"
    )
    words = [w for w in words if not w.startswith("out=")] + [f"out={piece}"]
    environment = {
        **os.environ,
        "JAX_ENABLE_X64": "1",
        "JAX_COMPILATION_CACHE_DIR": str(jax.config.jax_compilation_cache_dir),
    }
    done = subprocess.run(
        [sys.executable, "-c", script, *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 143, done.stderr
    summary = json.loads((piece / "summary.json").read_text())
    assert (summary["complete"], summary["stopped"]) == (False, "SIGTERM")
    said = re.search(r"SIGTERM: saved at step 6; resume with: (.*)", done.stderr)
    again = shlex.split(said.group(1))
    assert again[:2] == ["jaxopt-lab", "train"]
    assert main(again[2:]) == 0
    assert lines(piece) == lines(folder)


@pytest.mark.full
def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path):
    folder = tmp_path / "run"
    words = [*TINY, "steps=1000000", "save_every=0", f"out={folder}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "experiments.train", *words],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    metrics = folder / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not (metrics.exists() and metrics.stat().st_size):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    step = int(re.search(r"SIGINT: saved at step (\d+); resume with", error).group(1))
    assert (folder / "checkpoints" / str(step)).is_dir()
    assert "Traceback" not in error


@pytest.mark.full
@pytest.mark.parametrize(
    "method",
    cases.plain(
        catalog.of_kind("transform"), {"sam", "adam", "adamw8bit", "lookbehind"}
    ),
)
def test_every_method_trains_from_the_command_line(method, tmp_path):
    size = 64
    words = [*TINY, f"method={method}", "steps=2", f"batch_size={size}"]
    program = runs.assemble(parse(words))
    # Two steps: the first one of critical momenta only fills its buffer.
    step, state = jax.jit(program.step), program.state
    for _ in range(2):
        state, _ = step(state, program.batches.next())
    before, after = program.state.params, state.params
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), before, after)
    # The last leaf to move is the first kernel; all of them must.
    assert all(jax.tree.leaves(moved))
    assert 0 <= program.evaluate(state)["accuracy"] <= 1


@pytest.mark.full(
    plain=[
        "words0-nowhere.txt",
        "words1-task text needs data_dir=the text file",
        "words2-nowhere",
        "words3-nowhere",
    ]
)
@pytest.mark.parametrize(
    "words, said",
    [
        (["task=text", "data_dir=nowhere.txt"], "nowhere.txt"),
        (["task=text"], "task text needs data_dir=the text file"),
        (["task=fashion_mnist", "data_dir=nowhere"], "nowhere"),
        (["task=cifar10", "data_dir=nowhere"], "nowhere"),
        (["model=mlp", "batch_size=2000"], "2000"),
        (["model=mlp", "out=/proc/run"], "/proc/run"),
    ],
)
def test_bad_places_get_one_line(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


@pytest.mark.full
def test_a_command_that_failed_can_be_corrected(tmp_path, capsys):
    words = [*TINY, "steps=1", f"out={tmp_path}/run"]
    assert main([*words, "batch_size=2000"]) == 2
    assert main([*words, "batch_size=20"]) == 0


@pytest.mark.full
def test_a_loss_that_is_not_finite_ends_the_run(tmp_path, capsys):
    words = [*TINY, "method=sgd", "learning_rate=1e30", "steps=20", f"out={tmp_path}/x"]
    assert main(words) == 1
    error = capsys.readouterr().err
    step = re.search(r"the loss is (nan|inf) at step (\d+); no checkpoint", error)[2]
    summary = json.loads((tmp_path / "x" / "summary.json").read_text())
    assert (summary["complete"], summary["stopped"]) == (False, "non-finite loss")
    assert summary["steps"] >= int(step)


@pytest.mark.full
def test_augmentation_and_text_run(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("to be or not to be, that is the question. " * 60)
    small = ["model.width=8", "model.depth=1", "model.context=16", "steps=2"]
    words = ["task=text", f"data_dir={text}", "batch_size=4", "eval_every=0", *small]
    assert main([*words, "model.heads=2", f"out={tmp_path}/text"]) == 0
    crop = [*TINY, "augment=crop_flip", "steps=2", f"out={tmp_path}/crop"]
    assert main(crop) == 0


@pytest.mark.full
def test_seeds_draw_noise_of_their_own():
    words = [*TINY, "method=bsam", "seeds=2"]
    state = runs.assemble(parse(words)).state
    keys = [
        jax.random.key_data(leaf)
        for leaf in jax.tree.leaves(state.opt_state)
        if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    ]
    assert keys
    for of_seeds in keys:
        assert (of_seeds[0] != of_seeds[1]).any()
    alone = runs.assemble(parse([*TINY, "method=bsam", "seed=1"])).state
    for many, one in zip(
        jax.tree.leaves(state.opt_state), jax.tree.leaves(alone.opt_state), strict=True
    ):
        if jax.dtypes.issubdtype(one.dtype, jax.dtypes.prng_key):
            assert (jax.random.key_data(many[1]) == jax.random.key_data(one)).all()
