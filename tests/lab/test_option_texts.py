"""Values of another type, and help texts as paragraphs."""

import dataclasses
import typing
from typing import Literal

import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import option_texts
from jaxopt_lab.lab.commands import evaluate, predict
from jaxopt_lab.lab.run_options import RunOptions


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of a test."""

    count: int = 1
    """a number of
    things"""
    rate: float = 0.5
    on: bool = False
    form: Literal["a", "b"] = "a"
    sizes: tuple[int, ...] = (1,)
    maybe: float | None = None
    name: str = ""


@pytest.mark.parametrize(
    "given, said",
    [
        ({"count": "1e3"}, "count=1e3 is no whole number"),
        ({"rate": "fast"}, "rate=fast is no number"),
        ({"on": "yes"}, "on=yes; accepted: true, false"),
        ({"form": "c"}, "form=c; accepted: a, b"),
        ({"sizes": "1,x"}, "sizes=x is no whole number"),
        ({"maybe": "x"}, "maybe=x is no number"),
    ],
)
def test_values_of_another_type_are_named(given, said):
    with pytest.raises(InputError) as error:
        option_texts.check(Options, given)
    assert str(error.value) == said


def test_values_of_the_type_pass():
    option_texts.check(
        Options,
        {
            "count": "-3",
            "rate": "1e-3",
            "on": "TRUE",
            "form": "b",
            "name": "x",
            "sizes": "1,2",
            "maybe": "None",
            "unknown": "?",
        },
    )


def test_help_has_no_line_breaks_of_the_source():
    shown = option_texts.as_paragraphs(Options(count=4))
    assert shown.count == 4 and shown.name == ""
    hint = typing.get_type_hints(type(shown), include_extras=True)["count"]
    assert typing.get_args(hint)[1].help == "a number of things"
    whole = option_texts.paragraphs(RunOptions)
    hints = typing.get_type_hints(whole, include_extras=True)
    for name in RunOptions.__dataclass_fields__:
        assert "\n" not in typing.get_args(hints[name])[-1].help, name


@pytest.mark.parametrize("command", [evaluate, predict])
def test_commands_say_it_in_one_line(command, capsys):
    assert command.main(["run=x", "seed_index=first"]) == 2
    error = capsys.readouterr().err
    assert error == "error: seed_index=first is no whole number\n"
