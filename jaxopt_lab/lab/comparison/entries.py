"""The runs of a comparison: one configuration for each method, or for each value."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax

from jaxopt_lab import catalog
from jaxopt_lab.core import errors
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import (
    command_line,
    configuration_files,
    idle_options,
    methods,
    optimizers,
    options_form,
    placement,
    recipe_adapters,
)
from jaxopt_lab.lab.comparison import options as options_of
from jaxopt_lab.lab.comparison.options import Asked
from jaxopt_lab.lab.configuration import Configuration
from jaxopt_lab.lab.materials import first_state, materials
from jaxopt_lab.lab.models.placed import OWN
from jaxopt_lab.lab.named_rows import resolve
from jaxopt_lab.lab.run_options import RunOptions

_MODELS = {"digits": "mlp"}
"""Models of comparisons on a task whose own would take a quarter of an hour."""

_PLACES = {name: f"model.{name}" for name in ("norm", "activation", *OWN)}
"""Options by the names of the kinds of parts that they take."""

_OWN = (
    *("steps", "seed", "seeds", "on_nonfinite"),
    *("eval_every", "log_every", "save_every", "keep"),
)
"""Options that a comparison sets, so that those of a file do not count."""

DATA = ("task", "data_dir", "image_size", "val")
"""Options that decide which examples a run is trained and tested on."""

_QUIET = {"on_nonfinite": "skip"}
"""Options of a run that a comparison has otherwise: a seed whose loss is not finite
keeps its last finite state, and the others go on. Neither a recipe nor a step with a
controller can skip steps."""


class Entry(NamedTuple):
    """A run of a comparison.

    Attributes:
      label: name of the method, or the value that is varied.
      slug: the label as the name of a folder.
      given: all options by name, as texts, but for the length.
      first: the configuration of its first step.
    """

    label: str
    slug: str
    given: Mapping[str, str]
    first: Configuration

    def configuration(
        self, steps: int, changed: Mapping[str, Any] | None = None
    ) -> Configuration:
        """The configuration of the run.

        Args:
          steps: its length. Ten tests, and four checkpoints, are spread over it where
            no option says otherwise.
          changed: options in place of the given ones, as tuning finds them.

        Returns:
          The configuration, every value checked.
        """
        spread = {
            "eval_every": str(max(1, steps // 10)),
            "log_every": str(max(1, min(50, steps // 10))),
            "save_every": str(max(1, steps // 4)),
            "keep": "1",
        }
        texts = {name: _text(value) for name, value in (changed or {}).items()}
        every = {**spread, **self.given, **texts, "steps": str(steps)}
        return command_line.from_settings(every)


def _first(given: Mapping[str, str]) -> Configuration:
    return command_line.from_settings({**given, "steps": "1"})


def entries(asked: Asked) -> list[Entry]:
    """The runs that a command asks for.

    Args:
      asked: the command.

    Returns:
      They, in its order; a configuration of each was made.

    Raises:
      InputError: a name is unknown to all of them, a value is out of range, or an
        option would change none of them.
    """
    options, rest = asked.options, dict(asked.others)
    file = configuration_files.settings(rest)
    soft = {n: _text(x) for n, x in file.items() if n not in _OWN}
    fixed = {"seeds": str(options.seeds), "seed": str(options.seed)}
    if options.vary:
        varied = _PLACES.get(options.vary, options.vary)
        if varied in ("method", *_OWN, *DATA):
            raise InputError(
                f"vary={options.vary} cannot be compared: methods are methods=, and "
                "seeds, length and data are the same for all"
            )
        if varied in rest:
            raise InputError(f"vary={options.vary} beside {varied}={rest[varied]}")
        labels = options_of.names("values", options.values)
        own = {label: {varied: _value(varied, label)} for label in labels}
    else:
        labels = options_of.names("methods", options.methods)
        for label in labels:
            methods.get(label)
        own = {label: {"method": label} for label in labels}
    alone, shared = _apart(rest, labels)
    if options.vary != "model" and not {"model"} & {*shared, *soft}:
        task = shared.get("task", soft.get("task", RunOptions().task))
        if task in _MODELS:
            shared["model"] = _MODELS[task]
    used: set[str] = set()
    known: set[str] = set()
    found = []
    for label, slug in zip(labels, _slugs(labels), strict=True):
        mine = {**fixed, **own[label], **alone.get(label, {})}
        names = _names({**soft, **shared, **mine})
        known |= names
        for name in mine:
            if name not in names:
                whose = "a run" if name == options.vary else label
                raise errors.unknown(f"option of {whose}", name, names)
        chosen = {n: x for n, x in shared.items() if n in names}
        chosen = {n: x for n, x in soft.items() if n in names} | chosen
        given = {**chosen, **mine}
        recipe_adapters.refuse_apart(given.get("recipe", "none"), "compare")
        if all(given.get(n, "none") == "none" for n in ("recipe", "controller")):
            given = {**_QUIET, **given}
        first = _first(given)
        if idle := [n for n in _idle(first, given) if n not in mine]:
            given = {n: x for n, x in given.items() if n not in idle}
            first = _first(given)
        idle_options.refuse(first, given)
        used |= given.keys()
        found.append(Entry(label, slug, given, first))
    for name, value in shared.items():
        if name not in known:
            raise errors.unknown("option", name, {*known, *_own_names()})
        if name not in used:
            raise InputError(f"{name}={value} would change nothing in any of the runs")
    return found


def _own_names() -> Iterable[str]:
    return options_of.CompareOptions.__dataclass_fields__


def check(found: Iterable[Entry]) -> None:
    """Refuse a run that does not fit its data, before another one is trained.

    Args:
      found: the runs; each one's data are read and its first state is traced.

    Raises:
      InputError: names the run, and what does not fit.
    """
    for entry in found:
        try:
            made = materials(entry.first)
            tx = optimizers.build(placement.on_each_device(entry.first, made.placed))
            first = functools.partial(first_state, made=made, tx=tx)
            jax.eval_shape(first, jax.random.key(0))
        except InputError as error:
            raise InputError(f"{entry.label}: {error}") from None


def _value(option: str, label: str) -> str:
    """The value that a label stands for: norms may leave out their ending."""
    rows = catalog.of_kind("layer")
    whole = f"{label}_norm"
    short = option == "model.norm" and label not in rows and whole in rows
    return whole if short else label


def _names(given: Mapping[str, str]) -> set[str]:
    """The names of all options that a run with these may have."""
    made = options_form.form(resolve(given))
    return {name for name, _ in options_form.names(made)}


def _idle(configuration: Configuration, given: Mapping[str, str]) -> list[str]:
    """The given options that would change nothing in this run."""
    found = [n for n in idle_options.names(configuration) if n in given]
    if "base" in given and configuration.rows.base is None:
        found.append("base")
    return found


def _apart(
    rest: Mapping[str, str], labels: list[str]
) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """Options for one run, ``LABEL.option``, and those for all."""
    alone: dict[str, dict[str, str]] = {}
    shared: dict[str, str] = {}
    for name, value in rest.items():
        label = next((x for x in labels if name.startswith(f"{x}.")), None)
        if label is None:
            shared[name] = value
        else:
            alone.setdefault(label, {})[name.removeprefix(f"{label}.")] = value
    return alone, shared


def _slugs(labels: list[str]) -> list[str]:
    found: list[str] = []
    for label in labels:
        slug = re.sub(r"[^\w.+-]+", "-", label).strip(".-") or "value"
        found.append(slug if slug not in found else f"{slug}-{len(found)}")
    return found


def _text(value: Any) -> str:
    if isinstance(value, tuple | list):
        return ",".join(map(str, value))
    return str(value)
