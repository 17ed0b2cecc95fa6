"""From ``key=value`` words to a typed configuration."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from jaxopt_lab import catalog
from jaxopt_lab.core import errors
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import models, tasks
from jaxopt_lab.lab.run_options import RunOptions, check_ranges

PROGRAM = "python -m experiments.train"


@dataclasses.dataclass(frozen=True)
class Configuration:
    """A run, complete.

    Attributes:
      run: options that every run has; ``model`` is resolved, never ``"auto"``.
      method: options of the method.
      base: options of the optimizer behind it; empty where the method is one.
      model: options of the model.
    """

    run: RunOptions
    method: dict[str, Any]
    base: dict[str, Any]
    model: Any

    def flat(self) -> dict[str, Any]:
        """All options under the names that the command line gives them."""
        named = dataclasses.asdict(self.run)
        if not needs_base(catalog.get(self.run.method, "transform")):
            del named["base"]
        prefix = _base_prefix(catalog.get(self.run.method, "transform"))
        named |= self.method
        named |= {prefix(name): value for name, value in self.base.items()}
        fields = dataclasses.asdict(self.model)
        return named | {f"model.{name}": value for name, value in fields.items()}


def needs_base(row: catalog.Transform) -> bool:
    """Whether a method wants an optimizer behind it or inside it.

    Args:
      row: the method.

    Returns:
      False for optimizers.
    """
    return row.role != "optimizer"


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


def parse(arguments: Sequence[str]) -> Configuration:
    """The configuration that the words of a command stand for.

    Args:
      arguments: the words after the program's name; ``--help`` among them prints
        the help and exits with 0.

    Returns:
      The configuration, every value checked.

    Raises:
      InputError: an unknown name (with the nearest ones) or a value out of range.
      SystemExit: help was asked for, or a value is not of its type (exit 2).
    """
    asks_help = any(word in ("-h", "--help", "help") for word in arguments)
    given = words([w for w in arguments if w not in ("-h", "--help", "help")])
    default = RunOptions()
    row = catalog.get(given.get("method", default.method), "transform")
    base_row = None
    if needs_base(row):
        base_row = catalog.get(given.get("base", default.base), "transform")
        if needs_base(base_row):
            methods = catalog.of_kind("transform")
            raise InputError(
                f"base={base_row.name} is no optimizer; accepted: "
                + ", ".join(sorted(n for n, r in methods.items() if not needs_base(r)))
            )
    task = tasks.get(given.get("task", default.task))
    named_model = given.get("model", default.model)
    model = models.get(task.model if named_model == "auto" else named_model)
    if model.kind != task.kind:
        fitting = [m.name for m in models.MODELS.values() if m.kind == task.kind]
        raise InputError(
            f"model {model.name} takes {model.kind}, task {task.name} gives "
            f"{task.kind}; accepted: {', '.join(fitting)}"
        )
    form = _form(row, base_row, model, task)
    known = {name for name, _ in _names(form)}
    for name in given:
        if name not in known:
            raise errors.unknown("option", name, known)
    if not asks_help:
        given["model"] = model.name
    typed = _typed(form, given, asks_help)

    check_ranges(typed.run)
    return Configuration(
        run=typed.run,
        method=row.checked(_values(getattr(typed, row.name))),
        base={}
        if base_row is None
        else base_row.checked(_values(getattr(typed, base_row.name))),
        model=typed.model_options,
    )


def _values(options: Any) -> dict[str, Any]:
    names = type(options).option_names
    return {name: getattr(options, field) for field, name in names.items()}


def _base_prefix(row: catalog.Transform) -> Any:
    taken = set(row.options) | {f.name for f in dataclasses.fields(RunOptions)}
    return lambda name: f"base_{name}" if name in taken else name


def _form(
    row: catalog.Transform,
    base_row: catalog.Transform | None,
    model: models.Model,
    task: tasks.Task,
) -> type:
    """A dataclass of everything that can be given for these choices."""
    import tyro

    plain = tyro.conf.OmitArgPrefixes
    defaults = RunOptions(**task.defaults)
    groups: list[tuple[str, Any, Any]] = [
        ("run", Annotated[RunOptions, plain], defaults),
        (
            row.name,
            Annotated[_options_class(f"Options of {row.name}", row, str), plain],
            None,
        ),
    ]
    if base_row is not None:
        title = f"Options of {base_row.name}, the base of {row.name}"
        kind = _options_class(title, base_row, _base_prefix(row))
        groups.append((base_row.name, Annotated[kind, plain], None))
    named = Annotated[model.config, tyro.conf.arg(name="model")]
    groups.append(("model_options", named, None))
    return dataclasses.make_dataclass(
        "Options",
        [
            (name, kind, dataclasses.field(default_factory=_maker(kind, default)))
            for name, kind, default in groups
        ],
        frozen=True,
    )


def _maker(kind: Any, default: Any) -> Any:
    plain = kind.__origin__
    return plain if default is None else lambda: default


def _options_class(title: str, row: catalog.Transform, rename: Any) -> type:
    import tyro

    fields, names = [], {}
    for name, option in row.details.items():
        kind: Any = type(option.default)
        text = option.help
        if isinstance(option.accepted, tuple):
            kind = Literal[option.accepted]
        elif option.accepted is not None:
            text = f"{text}; accepted: {option.accepted}"
        annotated = Annotated[kind, tyro.conf.arg(help=text)]
        shown = rename(name)
        names[shown] = name
        fields.append((shown, annotated, dataclasses.field(default=option.default)))
    made = dataclasses.make_dataclass(
        row.name, fields, frozen=True, namespace={"option_names": names}
    )
    made.__doc__ = f"{title}: {row.summary}."
    return made


def _names(form: type) -> list[tuple[str, Any]]:
    """Every name that the form takes, with the field behind it."""
    found = []
    for group in dataclasses.fields(form):
        prefix = "model." if group.name == "model_options" else ""
        inner: Any = group.default_factory
        for field in dataclasses.fields(inner()):
            found.append((f"{prefix}{field.name}", field))
    return found


def _typed(form: type, given: Mapping[str, str], asks_help: bool) -> Any:
    import tyro

    sequences = {n for n, f in _names(form) if "tuple" in str(f.type)}
    arguments: list[str] = []
    for name, value in given.items():
        spelled = _truth(value)
        parts = spelled.split(",") if name in sequences else [spelled]
        arguments += [f"--{name}", *parts]
    return tyro.cli(
        form,
        args=[*arguments, "--help"] if asks_help else arguments,
        prog=PROGRAM,
        description=_description(),
        use_underscores=True,
        config=(tyro.conf.FlagConversionOff,),
    )


def _truth(value: str) -> str:
    return value.capitalize() if value.lower() in ("true", "false") else value


def _description() -> str:
    def listed(rows: Mapping[str, Any]) -> str:
        return ", ".join(rows)

    methods = catalog.of_kind("transform")
    return (
        "Train a network with a method of the catalog.\n\n"
        f"Options are key=value: {PROGRAM} method=sam rho=0.1 task=digits seeds=3\n"
        f"(--key value works too). The options shown are those of the method, base "
        "and model\nthat are given beside --help.\n\n"
        f"methods: {listed(methods)}\n\n"
        f"tasks: {listed(tasks.TASKS)}, tfds:NAME for any prepared TFDS image set\n\n"
        f"models:  {listed(models.MODELS)}\n\n"
        f"{PROGRAM} --list prints the parts of every kind, --list layer "
        "those of one."
    )


def wants_list(arguments: Sequence[str]) -> str | None:
    """The kind whose parts the command asks for.

    Args:
      arguments: the words after the program's name.

    Returns:
      The word after ``--list`` (``-`` and ``_`` in it are spaces), empty if there is
      none: all kinds; ``None`` without ``--list``.
    """
    if "--list" not in arguments:
        return None
    after = [*arguments[arguments.index("--list") + 1 :], ""][0]
    return after.replace("-", " ").replace("_", " ")


def command(configuration: Configuration, out: str) -> str:
    """The command that resumes a run.

    Args:
      configuration: the run's configuration.
      out: its folder.

    Returns:
      One line for a shell, with the options that are not defaults.
    """
    import shlex

    run = configuration.run
    first = [f"method={run.method}"]
    if needs_base(catalog.get(run.method, "transform")):
        first.append(f"base={run.base}")
    first += [f"task={run.task}", f"model={run.model}"]
    chosen = [word.split("=")[0] for word in first]
    defaults = parse(first).flat()
    flat = configuration.flat()
    changed = [
        f"{name}={_spelled(value)}"
        for name, value in flat.items()
        if name not in (*chosen, "out", "existing") and value != defaults.get(name)
    ]
    every = [*first, *changed, f"out={out}"]
    return f"{PROGRAM} {' '.join(shlex.quote(word) for word in every)}"


def from_settings(settings: Mapping[str, Any]) -> Configuration:
    """The configuration of a run from what its folder keeps of it.

    Args:
      settings: as in ``config.json``: ``Configuration.flat`` without what only
        concerns the presentation.

    Returns:
      The configuration, every value checked.

    Raises:
      InputError: a name is unknown, or a value is out of range.
    """
    return parse([f"{name}={_spelled(value)}" for name, value in settings.items()])


def _spelled(value: Any) -> str:
    if isinstance(value, tuple | list):
        return ",".join(map(str, value))
    return str(value)
