"""The options of a command as one dataclass, typed and documented for tyro."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from jaxopt_lab import catalog
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import NON_NEGATIVE, Option
from jaxopt_lab.lab import (
    configuration_files,
    methods,
    models,
    option_texts,
    parts,
    tasks,
)
from jaxopt_lab.lab.configuration import Rows, base_prefix, decay_name
from jaxopt_lab.lab.models import activations, norms
from jaxopt_lab.lab.run_options import RunOptions

_NAMED = "_options"
"""The end of the name of a group whose options have its name before theirs."""


def form(rows: Rows) -> type:
    """A dataclass of all options that can be given for these rows.

    Args:
      rows: method, base, task and model.

    Returns:
      The class; its fields are ``run``, one of the method's name, one of the base's,
      ``model_options``, and one such for each place of a part that has options.
    """
    import tyro

    plain = tyro.conf.OmitArgPrefixes
    defaults = RunOptions(**rows.task.defaults)
    method, base = rows.method, rows.base
    groups: list[tuple[str, Any, Any]] = [
        ("run", Annotated[RunOptions, plain], defaults),
        (
            method.name,
            Annotated[_options_class(f"Options of {method.name}", method, str), plain],
            None,
        ),
    ]
    if base is not None:
        title = f"Options of {base.name}, the base of {method.name}"
        kind = _options_class(title, base, base_prefix(method))
        groups.append((base.name, Annotated[kind, plain], None))
    if decay := decay_name(rows):
        kind = _decay_class(decay)
        groups.append(("decay", Annotated[kind, plain], None))
    named = Annotated[rows.model.config, tyro.conf.arg(name="model")]
    groups.append((f"model{_NAMED}", named, None))
    for place, row in rows.parts.items():
        offered = parts.details(place, row)
        if offered:
            kind = _options_class(f"Options of {place}={row.name}", row, str, offered)
            named = Annotated[kind, tyro.conf.arg(name=place)]
            groups.append((f"{place}{_NAMED}", named, None))
    return dataclasses.make_dataclass(
        "Options",
        [
            (name, kind, dataclasses.field(default_factory=_maker(kind, default)))
            for name, kind, default in groups
        ],
        frozen=True,
    )


def _decay_class(name: str) -> type:
    """The decay that every optimizer without one of its own gets."""
    import tyro

    text = f"strength of the weight decay; accepted: {NON_NEGATIVE}"
    annotated = Annotated[float, tyro.conf.arg(help=text)]
    made = dataclasses.make_dataclass(
        "decay",
        [(name, annotated, dataclasses.field(default=0.0))],
        frozen=True,
        namespace={"option_names": {name: "weight_decay"}},
    )
    made.__doc__ = "Weight decay beside the optimizer; see weight_decay_type."
    return made


def _maker(kind: Any, default: Any) -> Callable[[], Any]:
    plain = kind.__origin__
    return plain if default is None else lambda: default


def _options_class(
    title: str,
    row: catalog.Part,
    rename: Any,
    details: Mapping[str, Option] | None = None,
) -> type:
    offered = row.details if details is None else details
    names = {rename(name): name for name in offered}
    made = dataclasses.make_dataclass(
        row.name,
        fields_of(offered, rename),
        frozen=True,
        namespace={"option_names": names},
    )
    made.__doc__ = f"{title}: {row.summary}."
    return made


def fields_of(details: Mapping[str, Option], rename: Any) -> list[tuple[str, Any, Any]]:
    """The fields of a dataclass of options, with help texts for tyro.

    Args:
      details: options by name.
      rename: function of a name that gives that of its field.

    Returns:
      As ``dataclasses.make_dataclass`` takes them.
    """
    import tyro

    fields = []
    for name, option in details.items():
        kind: Any = type(option.default)
        if isinstance(option.default, tuple):
            kind = tuple[type(option.default[0]), ...]
        text = option.help
        if isinstance(option.accepted, tuple):
            kind = Literal[option.accepted]
        elif option.accepted is not None:
            text = f"{text}; accepted: {option.accepted}"
        annotated = Annotated[kind, tyro.conf.arg(help=text)]
        field = dataclasses.field(default=option.default)
        fields.append((rename(name), annotated, field))
    return fields


def values(options: Any) -> dict[str, Any]:
    """The options of a method under their own names, from its group in a form."""
    own = type(options).option_names
    return {name: getattr(options, field) for field, name in own.items()}


def names(made: type) -> list[tuple[str, Any]]:
    """Every name that a form takes, with the field behind it."""
    found = []
    for _, prefix, inner in _groups(made):
        for field in dataclasses.fields(inner):
            found.append((f"{prefix}{field.name}", field))
    return found


def typed(
    made: type, given: Mapping[str, str], program: str, *, asks_help: bool = False
) -> Any:
    """The options as typed values, in an instance of the form.

    Args:
      made: from ``form``.
      given: texts by name.
      program: how the command is started, for its help.
      asks_help: print the help and exit.

    Returns:
      The instance.

    Raises:
      InputError: a value is not of its type.
      SystemExit: help was asked for (exit 0).
    """
    import tyro

    if asks_help:
        made = _with_paragraphs(made)
    else:
        _check_types(made, given)
    fields = dict(names(made))
    arguments: list[str] = []
    for name, value in given.items():
        if "tuple" in str(fields[name].type):
            arguments += [f"--{name}", *value.split(",")]
        else:
            # One word, so that a value may begin with a dash.
            flag = isinstance(fields[name].default, bool)
            arguments.append(f"--{name}={capitalized(value) if flag else value}")
    config: tuple[Any, ...] = (tyro.conf.FlagConversionOff,)
    if not asks_help:
        # Comments in the sources are looked for in half of the time, for help alone.
        config = (*config, tyro.conf.HelptextFromCommentsOff)
    return tyro.cli(
        made,
        args=[*arguments, "--help"] if asks_help else arguments,
        prog=program,
        description=_description(program) if asks_help else "",
        use_underscores=True,
        config=config,
    )


def _groups(made: type) -> list[tuple[dataclasses.Field[Any], str, Any]]:
    """The groups of a form: field, what stands before its names, its defaults."""
    found = []
    for group in dataclasses.fields(made):
        place, ending, _ = group.name.partition(_NAMED)
        inner: Any = group.default_factory
        found.append((group, f"{place}." if ending else "", inner()))
    return found


def _check_types(made: type, given: Mapping[str, str]) -> None:
    """Refuse texts that are no values of their options, by their whole names."""
    for _, prefix, inner in _groups(made):
        own = {f.name for f in dataclasses.fields(inner)}
        mine = {name: given[f"{prefix}{name}"] for name in own & _after(prefix, given)}
        try:
            option_texts.check(type(inner), mine)
        except InputError as error:
            raise InputError(f"{prefix}{error}") from None


def _after(prefix: str, given: Mapping[str, str]) -> set[str]:
    return {name.removeprefix(prefix) for name in given if name.startswith(prefix)}


def _with_paragraphs(made: type) -> type:
    """A form whose help texts are paragraphs."""
    fields: list[Any] = []
    for group, _, inner in _groups(made):
        shown = option_texts.as_paragraphs(inner)
        _, *about = typing.get_args(group.type)
        kind: Any = type(shown)
        for one in about:
            kind = Annotated[kind, one]
        own = dataclasses.field(default_factory=lambda shown=shown: shown)
        fields.append((group.name, kind, own))
    return dataclasses.make_dataclass(made.__name__, fields, frozen=True)


def capitalized(value: str) -> str:
    """``true`` and ``false`` as Python writes them; other words as they are."""
    return value.capitalize() if value.lower() in ("true", "false") else value


def _norms() -> str:
    rows = [row for row in models.MODELS.values() if row.norms]
    lines = [
        f"norms of the {row.name} (model.norm=): {', '.join(norms.accepted(row))}\n\n"
        for row in rows
    ]
    names = ", ".join(activations.accepted(models.MODELS["mlp"]))
    lines.append(f"activations (model.activation=): {names}\n\n")
    return "".join(lines)


def _description(program: str) -> str:
    return (
        "Train a network with a method of the catalog.\n\n"
        f"Options are key=value: {program} method=sam rho=0.1 task=digits seeds=3\n"
        f"(--key value works too). The options shown are those of the method, base "
        "and model\nthat are given beside --help.\n\n"
        f"methods: {', '.join(methods.names())}\n\n"
        f"tasks: {', '.join(tasks.TASKS)}, tfds:NAME for any prepared TFDS image set"
        f"\n\nmodels:  {', '.join([*models.MODELS, *models.TEXTS])}\n\n"
        f"losses (loss=): {', '.join(parts.accepted('loss'))}\n\n"
        f"regularizers (regularizer=): {', '.join(parts.accepted('regularizer'))}\n\n"
        f"augmentations (augment=): {', '.join(parts.accepted('augment'))}\n\n"
        f"recipes (recipe=): {', '.join(parts.accepted('recipe'))}\n\n"
        f"controllers (controller=): {', '.join(parts.accepted('controller'))}\n\n"
        f"{_norms()}"
        "config=FILE takes the options of a file, such as the config.json of a run, or "
        "its\nfolder; preset=NAME those of a paper: "
        f"{', '.join(configuration_files.presets())}.\nOptions beside them replace "
        "theirs.\n\n"
        f"{program} --list prints the catalog."
    )
