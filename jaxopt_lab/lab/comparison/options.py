"""The options of ``jaxopt-lab compare``, and those that it hands to every run."""

from __future__ import annotations

import dataclasses
import math
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import Interval
from jaxopt_lab.lab import command_line, plain_options
from jaxopt_lab.lab.commands import HELP
from jaxopt_lab.lab.run_options import PRESENTATION


@dataclasses.dataclass(frozen=True)
class CompareOptions:
    """Options of a comparison; every other one is handed to the runs."""

    methods: str = "sgd,adam,sam,lookbehind,adam_cm"
    """methods of the catalog, with commas"""
    vary: str = ""
    """compare values of one option of a run instead, for one method=: norm, activation,
    loss, regularizer, augment, recipe, controller, base, model, or any other"""
    values: str = ""
    """of the option that vary names, with commas"""
    runs: str = ""
    """compare runs that exist instead: folders with commas, or a pattern (runs/*)"""
    budget: str = "gradients:2000"
    """what every method may spend: gradients:N, evaluations for a whole batch; or
    steps:N, examples:N, seconds:S of stepping (of all seeds together)"""
    seeds: int = 5
    """consecutive seeds of every method, trained in one program; fewer than five give
    no verdict"""
    seed: int = 0
    """the first of them"""
    tune: int = 0
    """tune every method first, with so many trials each, on a part of the training set
    and with other seeds; the first trial has the options as they are given, which is
    all for 0"""
    score: Literal["auto", "accuracy", "loss"] = "auto"
    """of the test after the last step, by which methods are compared; auto: accuracy
    for images, loss for texts"""
    sharpness_examples: int = 256
    """training examples over which the largest eigenvalue of the Hessian is measured at
    the end; 0: it is not"""
    noise: str = "0.02,0.05,0.1"
    """standard deviations of noise on the trained weights, as parts of the largest
    weight of each kernel, at which the test is repeated; none: it is not"""
    out: str = ""
    """folder of the comparison, resumed if it is there; empty: a new one below runs/"""


ACCEPTED = {
    "seeds": Interval(1),
    "seed": Interval(0, 2**31 - 1),
    "tune": Interval(0),
    "sharpness_examples": Interval(0),
}

_OWN = tuple(field.name for field in dataclasses.fields(CompareOptions))
_DEFAULTS = {f.name: f.default for f in dataclasses.fields(CompareOptions)}

_ABOUT = """\
Compare methods on equal footing: the same seeds, data and budget, paired over seeds.

  {command} methods=sgd,adam,sam task=digits seeds=5
  {command} vary=norm values=none,group method=sgd model=convnet
  {command} runs=runs/*

Other options are those of jaxopt-lab train (task, model, batch_size, learning_rate
and so on) and hold for every method that has them; sam.rho=0.1 is for sam alone. On
digits the model is mlp unless it is given. Leaves report.html, results.json and the
runs in one folder; a comparison that was interrupted goes on there."""

_REFUSED = {
    "steps": "the length is budget=steps:N, or of another unit",
    "existing": "a comparison in out= is resumed; remove the folder to start again",
    "patience": "methods that end early have no equal budgets",
    "profile": "profile one run with jaxopt-lab train",
    "coordinator": "a comparison runs in one process",
    "processes": "a comparison runs in one process",
    "process": "a comparison runs in one process",
}


class Asked(NamedTuple):
    """The request of a command.

    Attributes:
      options: of the comparison.
      others: options of the runs by name, as texts; ``METHOD.option`` is for one.
    """

    options: CompareOptions
    others: Mapping[str, str]

    @property
    def noise_levels(self) -> list[float]:
        """The standard deviations of ``noise``."""
        return levels(self.options.noise)

    def settings(self) -> dict[str, Any]:
        """All that decides about the results, by name."""
        own = {n: getattr(self.options, n) for n in _OWN if n != "out"}
        return own | {n: x for n, x in self.others.items() if n not in PRESENTATION}

    def command(self, out: str) -> str:
        """The command that resumes the comparison in a folder, one line for a shell."""
        every = {**self.settings(), **self.others}
        own = {n: x for n, x in every.items() if x != _DEFAULTS.get(n)}
        words = [f"{name}={value}" for name, value in own.items()]
        line = " ".join(shlex.quote(word) for word in [*words, f"out={out}"])
        return f"{command_line.program('compare')} {line}"


def parse(arguments: Sequence[str]) -> Asked:
    """The options that the words of a command stand for.

    Args:
      arguments: the words after the program's name, ``key=value``.

    Returns:
      The options of the comparison, checked, and those of the runs, which are not.

    Raises:
      InputError: a value is out of range, or options do not go together.
      SystemExit: help was asked for, or a value is not of its type.
    """
    helps = [word for word in arguments if word in HELP]
    given = command_line.words([word for word in arguments if word not in HELP])
    own = {name: x for name, x in given.items() if name in _OWN}
    others = {name: x for name, x in given.items() if name not in _OWN}
    options = plain_options.parse(
        CompareOptions,
        [*(f"{name}={value}" for name, value in own.items()), *helps],
        "compare",
        _ABOUT,
        accepted=ACCEPTED,
        needed={},
    )
    return checked(options, others, own)


def of_options(given: Mapping[str, Any]) -> Asked:
    """The same from options in Python, by the names of the command line.

    Args:
      given: values by name; sequences stand for words with commas.

    Returns:
      As ``parse``.

    Raises:
      InputError: as ``parse``.
    """

    def text(value: Any) -> str:
        plain = isinstance(value, str) or not isinstance(value, Sequence)
        return str(value) if plain else ",".join(map(str, value))

    return parse([f"{name}={text(value)}" for name, value in given.items()])


def checked(
    options: CompareOptions, others: Mapping[str, str], given: Mapping[str, str]
) -> Asked:
    """Refuse options that do not go together.

    Args:
      options: of the comparison.
      others: of the runs.
      given: the options of the comparison that were given, as texts.

    Returns:
      Both.

    Raises:
      InputError: names the first one.
    """
    levels(options.noise)
    ways = [n for n in ("methods", "vary", "runs") if n in given]
    if len(ways) > 1:
        raise InputError(
            f"{' and '.join(f'{n}={given[n]}' for n in ways)} are two comparisons; "
            "accepted: one of methods=, vary= or runs="
        )
    if bool(options.vary) != bool(options.values):
        there, other = ("vary", "values") if options.vary else ("values", "vary")
        raise InputError(f"{there}={getattr(options, there)} needs {other}=")
    if options.runs:
        idle = [n for n in given if n in ("budget", "seeds", "seed", "tune", "values")]
        for name in (*idle, *(n for n in others if n not in PRESENTATION)):
            value = {**others, **given}[name]
            raise InputError(f"{name}={value} would do nothing beside runs=")
    if "method" in others and not options.vary:
        raise InputError(
            f"method={others['method']} is for vary=; methods=a,b are compared"
        )
    for name in others:
        plain = name.rpartition(".")[2]
        if plain in _REFUSED:
            raise InputError(
                f"{name}={others[name]} is no option of a comparison: {_REFUSED[plain]}"
            )
    return Asked(options, others)


def names(name: str, text: str) -> list[str]:
    """The names in a text with commas.

    Args:
      name: of the option.
      text: its value.

    Returns:
      At least two names.

    Raises:
      InputError: there are fewer, or one comes twice.

    >>> names("methods", "sgd,sam")
    ['sgd', 'sam']
    """
    found = [word.strip() for word in text.split(",") if word.strip()]
    for word in found:
        if found.count(word) > 1:
            raise InputError(f"{name}={text} names {word} twice")
    if len(found) < 2:
        raise InputError(f"{name}={text} is no comparison; accepted: at least two")
    return found


def levels(text: str) -> list[float]:
    """The levels of noise in a text.

    Args:
      text: numbers with commas, or ``none``.

    Returns:
      The numbers, in rising order.

    Raises:
      InputError: a word is no number above 0.

    >>> levels("0.1,0.02"), levels("none")
    ([0.02, 0.1], [])
    """
    if text in ("", "none"):
        return []
    try:
        found = sorted({float(word) for word in text.split(",")})
    except ValueError:
        found = [math.nan]
    if not all(0 < level < math.inf for level in found):
        raise InputError(f"noise={text}; accepted: numbers above 0, or none")
    return found
