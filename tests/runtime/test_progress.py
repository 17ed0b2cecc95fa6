"""The progress line: what it shows, when it is quiet, how rarely it draws."""

import io
import itertools
import sys

import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.runtime import progress
from jaxopt_lab.runtime.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 100.0

    monkeypatch.setattr(progress.time, "perf_counter", lambda: Clock.now)
    return Clock


def test_quiet_when_not_a_terminal_or_not_wanted(monkeypatch):
    for enabled, stream in (("auto", io.StringIO()), (False, Terminal())):
        monkeypatch.setattr(sys, "stderr", stream)
        with Progress(10, enabled=enabled) as line:
            line.update(1, {"loss": 1.0})
            line.update(10, {"loss": 1.0})
        assert stream.getvalue() == ""


def test_quiet_without_rich_unless_asked_for(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setitem(sys.modules, "rich.console", None)
    with Progress(10, enabled="auto") as line:
        line.update(1, {})
    assert sys.stderr.getvalue() == ""
    with pytest.raises(InputError, match=r"pip install 'jaxopt_lab\[train\]'"):
        Progress(10, enabled=True)


def test_a_line_to_a_file_shows_everything(monkeypatch, clock):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with Progress(4000, start=100, enabled=True) as line:
        line.update(101, {})
        clock.now += 2.0
        line.update(201, {"loss": np.array([1.0, 2.0]), "learning_rate": 0.1})
        line.update(201, {"test_loss": 7.0, "test_top5": 1.0, "test_accuracy": 0.75})
    first, last = stream.getvalue().splitlines()
    assert first == "step 101/4000"
    assert last == (
        "step 201/4000  loss 1.5  test accuracy 0.75  50 steps/s  1:16 left"
    )


def test_without_a_terminal_every_record_gets_one_line(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setitem(sys.modules, "rich.console", None)  # not needed
    with Progress(9, enabled=True) as line:
        for done in range(1, 10):
            line.update(done, {"loss": done} if done % 3 == 0 else {})
            if done == 6:
                line.update(done, {"test_accuracy": 0.5})
    shown = [text.split("  ")[:3] for text in stream.getvalue().splitlines()]
    assert [words[0] for words in shown] == [f"step {i}/9" for i in (1, 3, 6, 9)]
    assert shown[2][1:] == ["loss 6", "test accuracy 0.5"]


def test_another_metric_stands_in_for_accuracy(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with Progress(10, enabled=True) as line:
        line.update(1, {"test_loss": 2.0})
        line.update(2, {"test_loss": 2.0, "test_bits": 3.5})
    assert "test bits 3.5" in sys.stderr.getvalue().splitlines()[-1]


def test_draws_at_most_ten_times_a_second(monkeypatch, clock):
    monkeypatch.setattr(sys, "stderr", Terminal())
    drawn = []
    monkeypatch.setattr(Progress, "_draw", _counting(Progress._draw, drawn))
    with Progress(10_000, enabled=True) as line:
        for done in itertools.count(1):
            line.update(done, {})
            clock.now += 0.001
            if done == 2000:
                break
    assert 18 <= len(drawn) <= 22
    text = sys.stderr.getvalue()
    assert "step 2000/10000" in text and "1000 steps/s" in text and "0:08 left" in text


def _counting(draw, calls):
    def counted(self, now):
        calls.append(now)
        draw(self, now)

    return counted


def test_an_error_of_the_run_passes(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with pytest.raises(KeyError), Progress(10, enabled=True):
        raise KeyError("the run's own")
    assert sys.stderr.getvalue().endswith("\x1b[?25h")  # the cursor is back
