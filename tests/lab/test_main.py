"""The console script: its commands, and one line for everything that goes wrong."""

import importlib
import pathlib
import subprocess
import sys
import tomllib

import pytest

from jaxopt_lab import __version__
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import main as script
from jaxopt_lab.lab.commands import COMMANDS, guarded

ROOT = pathlib.Path(__file__).parents[2]


def test_the_wheel_installs_it():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    module, name = project["scripts"]["jaxopt-lab"].split(":")
    assert getattr(importlib.import_module(module), name) is script.console


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_help_lists_the_commands(words, capsys):
    assert script.main(words) == 0
    said = capsys.readouterr().out
    assert all(f"  {name}" in said for name in COMMANDS)


def test_version(capsys):
    assert script.main(["--version"]) == 0
    assert __version__ in capsys.readouterr().out


@pytest.mark.parametrize(
    "words, said",
    [
        (["trian"], "unknown command 'trian'; perhaps you meant 'train'"),
        (["train", "stepz=3"], "unknown option 'stepz'; perhaps you meant 'steps'"),
        (["inspect", "rum=x"], "unknown option 'rum'; perhaps you meant 'run'"),
        (["plan", "chp=v5e"], "unknown option 'chp'; perhaps you meant 'chip'"),
    ],
)
def test_a_typo_gets_one_line_and_exit_2(words, said, capsys):
    assert script.main(words) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and error.startswith("error: ")


def test_every_command_is_a_module_and_a_sibling_of_the_experiments():
    for name in COMMANDS:
        module = importlib.import_module(f"jaxopt_lab.lab.commands.{name}")
        sibling = importlib.import_module(f"experiments.{name}")
        assert sibling.main is module.main
        assert len((ROOT / "experiments" / f"{name}.py").read_text().splitlines()) <= 8


def test_a_command_that_fails_or_is_stopped_leaves_one_line(capsys):
    def refuse(words):
        raise InputError("rho=-1 is out of range")

    def stop(words):
        raise KeyboardInterrupt

    def wrong(words):
        raise ZeroDivisionError

    assert guarded(refuse, []) == 2
    assert capsys.readouterr().err == "error: rho=-1 is out of range\n"
    assert guarded(stop, [], stopped="nothing was written") == 130
    assert capsys.readouterr().err == "\nnothing was written\n"
    with pytest.raises(ZeroDivisionError):
        guarded(wrong, [])


def test_a_typo_does_not_wait_for_jax():
    code = (
        "import sys\n"
        "from jaxopt_lab.lab.main import main\n"
        "status = main(['trian'])\n"
        "sys.exit(status if 'jax' not in sys.modules else 99)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode == 2
