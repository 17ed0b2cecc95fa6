"""Killed, corrupted, out of room: what was saved stays."""

import errno
import os
import signal
import warnings

import pytest
from support.processes import TRAIN, program, wait_until
from support.tiny_run import bits, records, train

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.runtime import Checkpoints, checkpoint_files
from jaxopt_lab.runtime.checkpoint_files import complete_steps


@pytest.mark.full
def test_killed_while_saving_it_resumes_from_the_last_whole_checkpoint(tmp_path):
    killed, saves = tmp_path / "killed", tmp_path / "killed" / "checkpoints"
    with program(TRAIN, killed, 100_000, 2, 0) as process:
        wait_until(
            lambda: (
                len(complete_steps(saves)) >= 2
                and any("orbax-checkpoint-tmp" in p.name for p in saves.iterdir())
            ),
            process,
        )
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL
    last = complete_steps(saves)[-1]
    # A save waits for the one before it, so at most one was under way.
    assert max(r["step"] for r in records(killed)) <= last + 4
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        resumed = train(killed, last + 3, log_every=1)
    whole = train(tmp_path / "whole", last + 3, log_every=1)
    assert bits(resumed.state) == bits(whole.state)
    assert records(killed) == records(tmp_path / "whole")


@pytest.mark.full
def test_a_corrupted_newest_checkpoint_costs_the_steps_since_the_one_before(tmp_path):
    train(tmp_path / "a", 12, save_every=5)
    about = tmp_path / "a" / "checkpoints" / "12" / "about.json"
    about.write_bytes(about.read_bytes()[:-40])
    with pytest.warns(UserWarning, match=r"checkpoint 12 .* damaged .* checkpoint 10"):
        resumed = train(tmp_path / "a", 20, save_every=5)
    whole = train(tmp_path / "b", 20, save_every=5)
    assert bits(resumed.state) == bits(whole.state)
    assert records(tmp_path / "a") == records(tmp_path / "b")


@pytest.mark.full
def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path, monkeypatch):
    def full(folder, about):
        if folder.name.startswith("10"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(folder, about)

    real = checkpoint_files.write_about
    monkeypatch.setattr(checkpoint_files, "write_about", full)
    with pytest.raises(InputError) as info:
        train(tmp_path, 20, save_every=5)
    assert str(info.value) == (
        f"saving checkpoint 10 in {tmp_path / 'checkpoints'} failed: the disk is "
        "full; checkpoint 5 is whole"
    )
    monkeypatch.undo()
    assert complete_steps(tmp_path / "checkpoints") == [5]
    resumed = train(tmp_path, 20, save_every=5)
    whole = train(tmp_path / "whole", 20, save_every=5)
    assert bits(resumed.state) == bits(whole.state)
    assert records(tmp_path) == records(tmp_path / "whole")


NO_FOLDER = """
import os, sys
import jax.numpy as jnp
from jaxopt_lab.runtime import Checkpoints

def refuse(path, *rest, **options):
    if "orbax" in str(path):
        raise OSError(28, "No space left on device")
    return make(path, *rest, **options)

with Checkpoints(sys.argv[1]) as checkpoints:
    checkpoints.save(1, {"w": jnp.ones(3)}, data={})
    checkpoints.wait()
    make, os.mkdir = os.mkdir, refuse
    checkpoints.save(2, {"w": jnp.ones(3)}, data={})
    checkpoints.wait()
"""


@pytest.mark.full
def test_a_save_that_cannot_begin_does_not_hold_the_end_of_the_process(tmp_path):
    with program(NO_FOLDER, tmp_path) as process:
        # Orbax's threads would wait 300 seconds for the folder.
        _, err = process.communicate(timeout=100)
    assert process.returncode == 1
    assert err.splitlines()[-1].endswith(
        f"saving checkpoint 2 in {tmp_path} failed: the disk is full; checkpoint 1 is "
        "whole"
    )
    assert os.listdir(tmp_path) == ["1"]


def test_unwritable_folders_are_refused_before_the_first_step(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="^cannot write into .*: not a directory$"):
        train(tmp_path / "file", 5)
    assert not Checkpoints(tmp_path / "none", read_only=True).steps()
