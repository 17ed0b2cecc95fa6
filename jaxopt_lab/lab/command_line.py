"""From ``key=value`` words to a typed configuration, and back."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxopt_lab.core import errors
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import NON_NEGATIVE
from jaxopt_lab.lab import (
    configuration_files,
    controlled,
    idle_options,
    options_form,
    parts,
    path_rules,
    precision,
    recipe_adapters,
    schedules,
    throughput,
    writers,
)
from jaxopt_lab.lab.commands import HELP
from jaxopt_lab.lab.configuration import (
    NOTHING_OWN,
    Configuration,
    Own,
    Rows,
    decay_name,
)
from jaxopt_lab.lab.named_rows import resolve
from jaxopt_lab.lab.run_options import RunOptions, check_ranges


def program(name: str) -> str:
    """The words that start a command of the lab, for help and messages.

    Args:
      name: of the command.

    Returns:
      ``python -m experiments.NAME`` where it was started so, else ``jaxopt-lab NAME``.
    """
    started = Path(sys.argv[0])
    if started.parent.name == "experiments" and started.suffix == ".py":
        return f"python -m experiments.{name}"
    return f"jaxopt-lab {name}"


def asks_help(arguments: Iterable[str]) -> bool:
    """Whether the help is asked for among the words of a command."""
    return any(word in HELP for word in arguments)


def words(arguments: Sequence[str]) -> dict[str, str]:
    """The options among the words of a command, ``key=value`` or ``--key value``.

    Args:
      arguments: the words after the program's name.

    Returns:
      Values by name, dashes in names made underscores.

    Raises:
      InputError: a word is neither, or a name comes twice.
    """
    given: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if not equals:
            if not word.startswith("--") or not rest:
                raise InputError(f"cannot read {word!r}; options are key=value")
            value = rest.pop(0)
        name = name.removeprefix("--").replace("-", "_")
        if name in given:
            raise InputError(f"{name} is given twice: {given[name]} and {value}")
        given[name] = value
    return given


def known_words(arguments: Sequence[str], known: Iterable[str]) -> dict[str, str]:
    """The options among the words of a command, whose names must be known ones.

    Args:
      arguments: the words after the program's name.
      known: the accepted names.

    Returns:
      Values by name.

    Raises:
      InputError: a word cannot be read, or a name is unknown (with the nearest ones).
    """
    given, accepted = words(arguments), list(known)
    for name in given:
        if name not in accepted:
            raise errors.unknown("option", name, accepted)
    return given


def parse(arguments: Sequence[str]) -> Configuration:
    """The configuration that the words of a command stand for.

    Args:
      arguments: the words after the program's name; ``--help`` among them prints
        the help and exits with 0.

    Returns:
      The configuration, every value checked.

    Raises:
      InputError: an unknown name (with the nearest ones), a value out of range, or an
        option that would do nothing.
      SystemExit: help was asked for.
    """
    given = words([word for word in arguments if word not in HELP])
    return _with_file(given, helping=asks_help(arguments))


def configured(options: Mapping[str, Any], own: Own) -> Configuration:
    """The configuration of options in Python and objects of the caller.

    Args:
      options: values by name, as the command line has them.
      own: objects instead of names.

    Returns:
      The configuration, every value checked.

    Raises:
      InputError: an unknown name (with the nearest ones), a value out of range, or an
        option that would do nothing.
    """
    return _with_file({name: _spelled(x) for name, x in options.items()}, own=own)


def _with_file(
    given: dict[str, str], *, helping: bool = False, own: Own = NOTHING_OWN
) -> Configuration:
    """The configuration of options, and of the file that ``config`` or ``preset``
    names.

    What the file says and the options change, with all that belongs to it, is left out.
    """
    named = " ".join(
        f"{n}={given[n]}" for n in configuration_files.OPTIONS if n in given
    )
    found = configuration_files.settings(given)
    if not found:
        configuration = _configuration(given, helping=helping, own=own)
        idle_options.refuse(configuration, given)
        return configuration
    kept = {n: _spelled(x) for n, x in found.items() if n not in given}
    form = options_form.form(resolve({**kept, **given}, own))
    known = {name for name, _ in options_form.names(form)}
    other = any(given.get(n, found.get(n)) != found.get(n) for n in _PARTS)
    foreign = [name for name in kept if name not in known]
    if foreign and not other:
        raise errors.unknown(f"option in {named}:", foreign[0], known)
    kept = {name: x for name, x in kept.items() if name in known}
    configuration = _configuration({**kept, **given}, helping=helping, own=own)
    idle = [n for n in idle_options.names(configuration) if n in kept]
    if idle:
        kept = {name: x for name, x in kept.items() if name not in idle}
        configuration = _configuration({**kept, **given}, helping=helping, own=own)
    idle_options.refuse(configuration, given)
    if foreign or idle:
        left = ", ".join([*foreign, *idle])
        sys.stderr.write(f"{named}: left out beside the other options: {left}\n")
    return configuration


_PARTS = (
    *("method", "base", "task", "model", "loss", "regularizer", "augment"),
    *("recipe", "controller"),
)
"""Options that bring options of their own."""


def _configuration(
    given: dict[str, str],
    *,
    helping: bool = False,
    own: Own = NOTHING_OWN,
) -> Configuration:
    rows = resolve(given, own)
    form = options_form.form(rows)
    known = {name for name, _ in options_form.names(form)}
    for name in given:
        if name not in known:
            _refuse_of_python(name, rows)
            raise errors.unknown(
                "option", name, known.union(configuration_files.OPTIONS)
            )
    if not helping:
        given["model"] = rows.model.name
    if own.task is not None:
        given["task"] = rows.task.name
    if own.loss is not None:
        given["loss"] = own.loss.name
    typed = options_form.typed(form, given, program("train"), asks_help=helping)

    def checked(row: Any) -> dict[str, Any]:
        return row.checked(options_form.values(getattr(typed, row.name)))

    check_ranges(typed.run)
    schedules.check(typed.run)
    writers.chosen(typed.run)
    throughput.profiled_steps(typed.run)
    for name in ("rate_rules", "decay_rules"):
        path_rules.parse(name, getattr(typed.run, name))
    of_parts = {}
    for place, row in rows.parts.items():
        group = getattr(typed, f"{place}_options", None)
        of_parts[place] = {} if group is None else options_form.values(group)
        for name, option in parts.details(place, row).items():
            option.checked(f"{place}.{name}", of_parts[place].get(name, option.default))
    weight_decay = None
    if decay := decay_name(rows):
        weight_decay = options_form.values(typed.decay)["weight_decay"]
        if weight_decay not in NON_NEGATIVE:
            raise InputError(
                f"{decay}={weight_decay} is out of range; accepted: {NON_NEGATIVE}"
            )
    configuration = Configuration(
        run=typed.run,
        method=checked(rows.method),
        base={} if rows.base is None else checked(rows.base),
        model=typed.model_options,
        rows=rows,
        parts=of_parts,
        weight_decay=weight_decay,
    )
    precision.check(configuration)
    controlled.check(configuration)
    recipe_adapters.of_configuration(configuration).check(configuration)
    return configuration


def _refuse_of_python(name: str, rows: Rows) -> None:
    """Refuse an option of a part that no run offers, with the way to it."""
    place, _, option = name.partition(".")
    row = rows.parts.get(place)
    if row is not None and option in row.options:
        raise InputError(
            f"unknown option {name!r} of a run: {row.name} takes {option} from the run "
            f"itself, or in Python alone, {parts.in_python(row)}"
        )


def listed_kind(arguments: Sequence[str]) -> str:
    """The kind whose parts the command asks for.

    Args:
      arguments: the words after the program's name, ``--list`` among them.

    Returns:
      The word after ``--list`` (``-`` and ``_`` in it are spaces); empty, for all
      kinds, if there is none.
    """
    after = [*arguments[arguments.index("--list") + 1 :], ""][0]
    return after.replace("-", " ").replace("_", " ")


def command(configuration: Configuration, out: str) -> str:
    """The command that resumes a run.

    Args:
      configuration: the run's configuration.
      out: its folder; empty: none is named.

    Returns:
      One line for a shell, with the options that are not defaults.
    """
    import shlex

    run = configuration.run
    first = [f"method={run.method}"]
    if configuration.rows.base is not None:
        first.append(f"base={run.base}")
    first += [f"task={run.task}", f"model={run.model}"]
    own = configuration.rows.own
    parts_of = [
        f"{name}={getattr(run, name)}"
        for name in ("loss", "regularizer", "augment", "recipe")
        if getattr(run, name) != getattr(RunOptions(), name)
    ]
    try:
        # Options of these parts at their defaults are left out, too.
        defaults = _configuration(words([*first, *parts_of]), own=own).flat()
        first += parts_of
    except InputError:  # a part that goes with other options alone
        defaults = _configuration(words(first), own=own).flat()
    chosen = [word.split("=")[0] for word in first]
    flat = configuration.flat()
    changed = [
        f"{name}={_spelled(value)}"
        for name, value in flat.items()
        if name not in (*chosen, "out", "existing") and value != defaults.get(name)
    ]
    every = [*first, *changed, *([f"out={out}"] if out else [])]
    return f"{program('train')} {' '.join(shlex.quote(word) for word in every)}"


def from_settings(
    settings: Mapping[str, Any],
    own: Own = NOTHING_OWN,
) -> Configuration:
    """The configuration of a run from its folder's ``config.json``.

    Args:
      settings: as in ``config.json``: ``Configuration.flat`` without what only
        concerns the presentation.
      own: objects of the caller instead of names.

    Returns:
      The configuration, every value checked.

    Raises:
      InputError: a name is unknown, or a value is out of range.
    """
    # Not refused if idle: an older version may have let them pass.
    given = {name: _spelled(value) for name, value in settings.items()}
    return _configuration(given, own=own)


def _spelled(value: Any) -> str:
    if isinstance(value, tuple | list):
        return ",".join(map(str, value))
    return str(value)
