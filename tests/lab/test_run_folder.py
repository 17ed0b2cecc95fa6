"""Folders of runs: whose files they are, who may use them, and their history."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import history, run_files
from jaxopt_lab.lab.run_folder import RunFolder, check
from jaxopt_lab.lab.run_options import RunOptions
from jaxopt_lab.runtime.folder_lock import claimed

SETTINGS = {"method": "sam", "task": "digits", "model": "mlp", "steps": 8, "rho": 0.1}
WRITTEN = (
    "config.json",
    "metrics.jsonl",
    "history.jsonl",
    "summary.json",
    "curves.png",
    ".metrics.jsonl.x7k2",
    "checkpoints/8/about.json",
    "checkpoints/9.orbax-checkpoint-tmp-3/state/x",
    "checkpoints/4.unreadable/about.json",
    "tensorboard/events.out.tfevents.1.vm.2",
    "curvature/curvature-00000008.npz",
    "inspect/report.html",
)
FOREIGN = ("thesis.tex", "main.py", "checkpoints/best.ckpt", "inspect/notes.txt")


def fill(folder, names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(SETTINGS))


def contents(folder):
    return {
        str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None
        for p in folder.rglob("*")
    }


def test_only_what_the_lab_wrote_is_removed(tmp_path):
    fill(tmp_path, WRITTEN)
    assert run_files.foreign(tmp_path) == []
    fill(tmp_path, FOREIGN)
    (tmp_path / "checkpoints" / "7").symlink_to(tmp_path / "src")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "code.py").write_text("code")
    assert sorted(run_files.foreign(tmp_path)) == sorted([*FOREIGN, "src"])
    run_files.remove_written(tmp_path)
    assert {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")} == {
        *FOREIGN,
        "checkpoints",
        "inspect",
        "src",
        "src/code.py",
    }


@pytest.mark.parametrize("existing", ["resume", "overwrite", "continue"])
@pytest.mark.parametrize("config", [None, '{"name": "my app"}', "[]", "{"])
def test_a_folder_of_something_else_is_refused(existing, config, tmp_path):
    (tmp_path / "main.py").write_text("code")
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    before = contents(tmp_path)
    with pytest.raises(InputError, match=r"holds files that are no run \(|is damaged"):
        check(tmp_path, SETTINGS, existing)
    assert contents(tmp_path) == before


def test_checkpoints_of_another_program_are_no_run(tmp_path):
    (tmp_path / "checkpoints" / "1000").mkdir(parents=True)
    with pytest.raises(InputError, match=r"holds files that are no run \(checkpoints"):
        check(tmp_path, SETTINGS, "overwrite")
    history.append(tmp_path, 0, {"configuration": SETTINGS})
    assert not check(tmp_path, SETTINGS, "overwrite")  # killed before its config.json


def test_new_empty_and_half_made_folders_are_taken(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    for folder in (tmp_path, tmp_path / "new"):
        assert not check(folder, SETTINGS, "resume")


def test_another_configuration_needs_continue(tmp_path):
    fill(tmp_path, ["config.json", "notes.txt"])
    assert not check(tmp_path, SETTINGS, "resume")
    other = {**SETTINGS, "rho": 0.3}
    with pytest.raises(InputError, match=r"rho was 0.1, now 0.3; existing=continue"):
        check(tmp_path, other, "resume")
    assert check(tmp_path, other, "continue")
    # A run of an older version lacks options; their defaults are what it had.
    newer = {**SETTINGS, "val": 0.0}
    assert not check(tmp_path, newer, "resume", lambda old: {"val": 0.0, **old})


def test_nothing_is_left_of_a_run_that_does_not_begin(tmp_path):
    place = tmp_path / "a" / "b"
    with pytest.raises(KeyError), RunFolder(RunOptions(), place):
        (place / "checkpoints").mkdir()
        raise KeyError("before the first step")
    assert os.listdir(tmp_path) == []
    with RunFolder(RunOptions(), place) as folder:
        folder.begin(0, SETTINGS, {})
    assert sorted(os.listdir(place)) == ["config.json", "history.jsonl"]


def test_runs_without_a_name_claim_theirs_by_making_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made, mkdir = [], os.mkdir

    def late(path, *rest):
        """Another process makes the folder between the look and the making."""
        if str(path).endswith("-001") and not made:
            made.append(path)
            mkdir(path, *rest)
        return mkdir(path, *rest)

    monkeypatch.setattr(os, "mkdir", late)
    with RunFolder(RunOptions(), None) as one, RunFolder(RunOptions(), None) as two:
        assert made and [one.path.name[-3:], two.path.name[-3:]] == ["002", "003"]


HOLD = (
    "import fcntl, os, sys; fd = os.open(sys.argv[1], os.O_RDONLY);"
    "fcntl.flock(fd, fcntl.LOCK_EX); print('held', flush=True); sys.stdin.read()"
)


def test_another_process_has_the_folder_until_it_dies(tmp_path):
    fill(tmp_path, WRITTEN)
    before = contents(tmp_path)
    program = [sys.executable, "-S", "-c", HOLD, str(tmp_path)]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(program, **pipes) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        with pytest.raises(InputError, match="is in use by another process"):
            RunFolder(RunOptions(), tmp_path)
        process.kill()
        process.wait()
    with RunFolder(RunOptions(), tmp_path):
        pass
    assert contents(tmp_path) == before


def test_a_claimed_folder_is_gone_again_if_nothing_was_written(tmp_path):
    with pytest.raises(KeyError), claimed(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()
        raise KeyError("before the first file")
    assert os.listdir(tmp_path) == []
    with claimed(tmp_path / "a"):
        (tmp_path / "a" / "results.json").write_text("{}")
    assert os.listdir(tmp_path / "a") == ["results.json"]
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(InputError, match="cannot write into"),
        claimed(tmp_path / "file" / "x"),
    ):
        pass


def test_a_forked_child_does_not_keep_the_folder(tmp_path):
    with RunFolder(RunOptions(), tmp_path):
        read, write = os.pipe()
        child = os.fork()
        if child == 0:  # lives on, as a reader of data does
            os.close(write)
            os.read(read, 1)
            os._exit(0)
    try:
        program = [sys.executable, "-S", "-c", HOLD, str(tmp_path)]
        done = subprocess.run(
            program, input="", capture_output=True, text=True, timeout=60, check=True
        )
        assert done.stdout == "held\n"
    finally:
        os.close(write)
        os.waitpid(child, 0)
        os.close(read)


def test_the_history_says_from_which_step_a_configuration_holds(tmp_path):
    for step, rho in ((0, 0.1), (20, 0.2), (20, 0.3), (40, 0.4)):
        history.append(tmp_path, step, {"configuration": {"rho": rho}})
    told = [(e["from_step"], e["configuration"]["rho"]) for e in history.read(tmp_path)]
    # The steps from 20 on that were taken with 0.2 were taken again.
    assert told == [(0, 0.1), (20, 0.3), (40, 0.4)]
    at = {
        step: (history.settings_at(tmp_path, step) or {})["rho"]
        for step in (0, 20, 21, 50)
    }
    assert at == {0: 0.1, 20: 0.1, 21: 0.3, 50: 0.4}
    assert history.settings_at(tmp_path / "none", 3) is None
    history.append(tmp_path, 0, {"configuration": {"rho": 0.5}})
    assert len(history.read(tmp_path)) == 1


def test_densities_of_steps_that_are_taken_again_go(tmp_path):
    names = [f"curvature/curvature-{step:08d}.npz" for step in (4, 8, 12)]
    fill(tmp_path, [*names, "curvature/mine-99.npz"])
    run_files.remove_later(tmp_path, 8)
    left = {p.name for p in (tmp_path / "curvature").iterdir()}
    assert left == {"curvature-00000004.npz", "curvature-00000008.npz", "mine-99.npz"}
