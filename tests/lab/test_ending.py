"""A Ctrl-C that Python drops counts; a process that was stopped ends at once."""

import os
import signal
import sys
import time
import types
from typing import Any

import pytest

from jaxopt_lab.lab import ending
from jaxopt_lab.lab.commands import guarded


def test_an_interrupt_that_python_drops_is_raised_again(capsys):
    before = sys.unraisablehook
    dropped: Any = types.SimpleNamespace(exc_type=KeyboardInterrupt)

    def run(words):
        sys.unraisablehook(dropped)
        time.sleep(20)
        return 0

    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert guarded(run, []) == 130
    finally:
        signal.signal(signal.SIGINT, handler)
    assert "stopped" in capsys.readouterr().err
    assert sys.unraisablehook is before


def test_an_import_that_was_interrupted_is_a_stop(capsys):
    def run(words):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            raise ImportError("while initializing the extension") from error

    assert guarded(run, []) == 130
    assert capsys.readouterr().err == "\nstopped\n"
    with pytest.raises(ImportError):
        guarded(lambda words: __import__("no_such_module"), [])


def test_other_dropped_exceptions_are_reported_as_before(monkeypatch):
    seen = []
    monkeypatch.setattr(sys, "unraisablehook", seen.append)
    dropped: Any = types.SimpleNamespace(exc_type=ValueError)
    with ending.heeding_interrupts():
        sys.unraisablehook(dropped)
    assert seen == [dropped]


@pytest.mark.parametrize("status", [0, 2, 130, 143])
def test_a_stopped_process_ends_at_once(status, monkeypatch):
    class AtOnce(Exception):
        pass

    def at_once(status):
        raise AtOnce(status)

    monkeypatch.setattr(os, "_exit", at_once)
    kind = AtOnce if status in (130, 143) else SystemExit
    with pytest.raises(kind) as ended:
        ending.leave(status)
    assert ended.value.args == (status,)
