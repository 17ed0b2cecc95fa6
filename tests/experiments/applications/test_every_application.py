"""Sizes, seeds, length, help and refusal of typos of every application."""

import inspect

import pytest

from experiments.applications.__main__ import APPLICATIONS
from experiments.harness.experiment import QUICK, STANDARD
from jaxopt_lab.lab.paired_tests import FEWEST


@pytest.mark.parametrize("name", APPLICATIONS.names())
def test_every_application(name, capsys):
    application = APPLICATIONS.experiment(name)
    assert application.name == name and list(application.sizes) == [QUICK, STANDARD]
    assert application.sizes[STANDARD].seeds >= FEWEST and application.paper
    if not (APPLICATIONS.folder / name).is_dir():
        lines = inspect.getsource(inspect.getmodule(application.measure)).count("\n")
        assert lines <= 250, f"{name}.py has {lines} lines"
    assert application.main(["quick", "where=here"]) == 2
    assert "accepted: " in capsys.readouterr().err
    assert application.main(["--help"]) == 0
    shown = capsys.readouterr().out
    usage = f"usage: python -m experiments.applications.{name} [quick|standard]"
    assert usage in shown and "[seeds=...]" in shown
