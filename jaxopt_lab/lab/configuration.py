"""The configuration of a run: its options, and the rows that they belong to."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import methods, models, tasks
from jaxopt_lab.lab.run_options import RunOptions


class Rows(NamedTuple):
    """The rows of the tables that a run is made of.

    Attributes:
      method: of the catalog.
      base: likewise, the optimizer behind a link or inside a wrapper; ``None`` where
        the method is an optimizer.
      task: of the tasks.
      model: of the models.
    """

    method: methods.Method
    base: methods.Method | None
    task: tasks.Task
    model: models.Model


def resolve(given: Mapping[str, str]) -> Rows:
    """The rows that a command names.

    Args:
      given: options by name; those left out have the defaults of ``RunOptions``.

    Returns:
      The rows; ``model=auto`` is the task's own model.

    Raises:
      InputError: a name is unknown, the base is no optimizer, or the model is of
        another kind than the task.
    """
    default = RunOptions()
    method = methods.get(given.get("method", default.method))
    base = None
    if methods.needs_base(method):
        base = methods.get(given.get("base", default.base))
        if methods.needs_base(base):
            raise InputError(
                f"base={base.name} is no optimizer; accepted: "
                + ", ".join(methods.optimizer_names())
            )
    task = tasks.get(given.get("task", default.task))
    name = given.get("model", default.model)
    model = models.get(task.model if name == "auto" else name)
    if model.kind != task.kind:
        fitting = [m.name for m in models.MODELS.values() if m.kind == task.kind]
        raise InputError(
            f"model {model.name} takes {model.kind}, task {task.name} gives "
            f"{task.kind}; accepted: {', '.join(fitting)}"
        )
    return Rows(method, base, task, model)


def base_prefix(row: methods.Method) -> Callable[[str], str]:
    """The names of the base's options on the command line.

    Args:
      row: the method that the base is behind or inside of.

    Returns:
      A function of the option's own name: it gets the prefix ``base_`` where a run or
      the method has an option of that name.
    """
    taken = set(row.details) | {f.name for f in dataclasses.fields(RunOptions)}
    return lambda name: f"base_{name}" if name in taken else name


@dataclasses.dataclass(frozen=True)
class Configuration:
    """A complete run.

    Attributes:
      run: options that every run has; ``model`` is resolved, never ``"auto"``.
      method: options of the method.
      base: options of the optimizer behind it; empty where the method is one.
      model: options of the model.
      rows: the rows that these options belong to, looked up once.
    """

    run: RunOptions
    method: dict[str, Any]
    base: dict[str, Any]
    model: Any
    rows: Rows

    def flat(self) -> dict[str, Any]:
        """All options under the names that the command line gives them."""
        named = dataclasses.asdict(self.run)
        if self.rows.base is None:
            del named["base"]
        prefix = base_prefix(self.rows.method)
        named |= self.method
        named |= {prefix(name): value for name, value in self.base.items()}
        fields = dataclasses.asdict(self.model)
        return named | {f"model.{name}": value for name, value in fields.items()}
