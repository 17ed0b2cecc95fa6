"""A trace of some steps, and counts in the records."""

import jax
import jax.numpy as jnp
import pytest
from support import tiny_run

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.runtime import fit
from jaxopt_lab.runtime.profile import Profile, longest


class Calls:
    """A stand-in for jax's profiler."""

    def __init__(self):
        self.made = []

    def start_trace(self, folder):
        self.made.append("start")

    def stop_trace(self):
        self.made.append("stop")


def test_the_trace_begins_before_its_first_step_and_ends_after_its_last(
    tmp_path, monkeypatch
):
    calls = Calls()
    monkeypatch.setattr(jax, "profiler", calls)
    profile, seen = Profile(tmp_path / "trace", 2, 4), []
    for done in range(7):
        profile.step(done, jnp.zeros(1))
        seen.append(tuple(calls.made))
    profile.close()
    assert [len(made) for made in seen] == [0, 1, 1, 1, 2, 2, 2]
    assert calls.made == ["start", "stop"]
    # A run that ends within the steps writes what there is.
    cut = Profile(tmp_path / "cut", 1, 9)
    cut.step(0)
    cut.close()
    assert calls.made == ["start", "stop"] * 2
    for first, last in ((0, 3), (5, 4)):
        with pytest.raises(InputError, match="are out of order; accepted: 1 to"):
            Profile(tmp_path, first, last)


@pytest.mark.full
def test_the_longest_operations_are_those_of_the_step(tmp_path):
    @jax.jit
    def step(x):
        return jnp.sin(x) @ x

    x = step(jnp.ones((200, 200)))
    profile = Profile(tmp_path, 1, 2)
    for done in range(3):
        profile.step(done, x)
        x = step(x)
    found = longest(tmp_path, 2)
    assert 1 <= len(found) <= 2
    assert all(0 < op.share <= 1 and op.seconds > 0 for op in found)
    assert found == sorted(found, key=lambda op: -op.seconds)


def test_without_a_trace_there_is_nothing(tmp_path):
    assert longest(tmp_path / "nowhere") == []


def counted(folder):
    return [
        (r["step"], r["kind"], r["examples"], r["gradients"])
        for r in tiny_run.records(folder)
    ]


@pytest.mark.full
def test_counts_go_on_and_steps_are_told(tmp_path):
    told = []
    counts = {"examples": 7, "gradients": 1.25}
    options = {"log_every": 4, "eval_every": 8, "save_every": 3, "counts": counts}
    tiny_run.train(tmp_path / "whole", 12, on_step=lambda *a: told.append(a), **options)
    assert [done for done, _ in told] == list(range(1, 13))
    found = counted(tmp_path / "whole")
    assert (4, "train", 28, 5) in found and (8, "test", 56, 10) in found
    assert found[-1] == (12, "test", 84, 15)
    act = {"act": tiny_run.terminate, "at": 6}
    tiny_run.train(tmp_path / "pieces", 12, **act, **options)
    tiny_run.train(tmp_path / "pieces", 12, **options)
    assert counted(tmp_path / "pieces") == found
    # With another batch size the old examples stay counted as they were.
    more = {**options, "counts": {"examples": 100, "gradients": 1}}
    tiny_run.train(tmp_path / "pieces", 13, **more)
    assert counted(tmp_path / "pieces")[-1] == (13, "test", 184, 16)


def test_without_counts_records_have_none(tmp_path):
    step, state, batches, _ = tiny_run.parts()
    records = []

    class Sink:
        def write(self, step, record):
            records.append(record)

        def close(self):
            """Nothing to close."""

    fit(step, state, batches, steps=1, sinks=[Sink()], progress=False)
    assert "examples" not in records[0]
