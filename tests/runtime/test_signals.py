"""SIGTERM and Ctrl-C, sent to real processes."""

import os
import signal
import threading
import time

import pytest
from support import interrupts
from support.processes import TRAIN, program, wait_until
from support.tiny_run import bits, records, train

from jaxopt_lab.runtime import Checkpoints, StopRequest


def has_lines(folder, number):
    file = folder / "metrics.jsonl"
    return lambda: file.exists() and file.read_bytes().count(b"\n") >= number


@pytest.mark.full
@pytest.mark.parametrize("name, code", [("SIGTERM", 143), ("SIGINT", 130)])
def test_saves_and_exits_and_goes_on_as_if_nothing_had_been(name, code, tmp_path):
    with program(TRAIN, tmp_path / "a", 100_000, 0, 1) as process:
        wait_until(has_lines(tmp_path / "a", 5), process)
        process.send_signal(getattr(signal, name))
        out, err = process.communicate(timeout=120)
    assert process.returncode == code, err
    assert out.startswith(f"stopped {name} at ")
    at = int(out.split()[-1])
    assert ("Ctrl-C again" in err) == (name == "SIGINT")
    assert Checkpoints(tmp_path / "a" / "checkpoints").latest() == at
    # Resumed here, it is the run of one process.
    options = {"log_every": 1}
    resumed = train(tmp_path / "a", at + 3, **options)
    whole = train(tmp_path / "b", at + 3, **options)
    assert bits(resumed.state) == bits(whole.state)
    assert records(tmp_path / "a") == records(tmp_path / "b")


# The query holds the main thread in C, as a compilation does; the nap does not.
HOLD = """
import sqlite3, sys, time
from jaxopt_lab.runtime import signals
signals._ONE_PRESS_SECONDS = 0.8  # a loaded machine may deliver one press slowly
with signals.StopRequest() as stop:
    print("holding", flush=True)
    if sys.argv[1] == "native":
        query = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) "
        sqlite3.connect(":memory:").execute(query + "SELECT sum(x) FROM c").fetchone()
    else:
        time.sleep(1000)
"""


@pytest.mark.full
@pytest.mark.parametrize("kind", ["native", "python"])
def test_a_second_interrupt_quits_at_once(kind):
    with program(HOLD, kind) as process:
        assert process.stdout.readline() == "holding\n"
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)  # one press, delivered twice
        process.stderr.readline()
        assert "Ctrl-C again quits" in process.stderr.readline()
        time.sleep(1.0)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped at once" in err


def test_handlers_and_threads_are_as_before():
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    read, write = os.pipe()
    os.set_blocking(write, False)
    old = signal.set_wakeup_fd(write)
    files = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc") else 0
    try:
        with StopRequest() as stop:
            signal.raise_signal(signal.SIGTERM)
            assert stop.name == "SIGTERM"
            signal.raise_signal(signal.SIGTERM)
        assert os.read(read, 2) == bytes([signal.SIGTERM] * 2)  # the owner's, too
        assert signal.set_wakeup_fd(write) == write
        if files:
            assert len(os.listdir("/proc/self/fd")) == files
    finally:
        signal.set_wakeup_fd(old)
        os.close(read)
        os.close(write)
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before
    assert "stop-request" not in [t.name for t in threading.enumerate()]


def test_the_suite_hears_interrupts_in_the_background():
    before = signal.getsignal(signal.SIGINT)
    try:
        for ignored in (signal.SIG_IGN, before):
            signal.signal(signal.SIGINT, ignored)
            interrupts.heed()
            assert signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
        assert signal.getsignal(signal.SIGINT) is before
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_first_signal_gives_the_reason():
    with StopRequest() as stop:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        assert stop.name == "SIGTERM"


def test_other_threads_train_without_handlers():
    seen = []

    def work():
        with StopRequest() as stop:
            seen.append((stop.name, signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(None, signal.getsignal(signal.SIGINT))]


@pytest.mark.full
def test_a_signal_with_the_last_step_is_no_stop(tmp_path):
    def interrupt():
        signal.raise_signal(signal.SIGTERM)

    result = train(tmp_path, 4, act=interrupt, at=4)
    assert result.stopped is None
    assert [r["kind"] for r in records(tmp_path)] == ["train", "test"]
