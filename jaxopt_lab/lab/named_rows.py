"""The rows of the tables that a command names."""

from __future__ import annotations

from collections.abc import Mapping

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import methods, models, parts, tasks
from jaxopt_lab.lab.configuration import NOTHING_OWN, Own, Rows
from jaxopt_lab.lab.run_options import RunOptions


def resolve(given: Mapping[str, str], own: Own = NOTHING_OWN) -> Rows:
    """The rows that a command names.

    Args:
      given: options by name; those left out have the defaults of ``RunOptions``.
      own: objects of the caller instead of names.

    Returns:
      The rows; ``model=auto`` is the task's own model.

    Raises:
      InputError: a name is unknown, the base is no optimizer, the model is of another
        kind than the task, or a part does not fit its place.
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
    task = own.task or tasks.get(given.get("task", default.task))
    name = given.get("model", default.model)
    model = own.model or models.get(task.model if name == "auto" else name)
    if "any" not in (model.kind, task.kind) and model.kind != task.kind:
        fitting = [m.name for m in models.MODELS.values() if m.kind == task.kind]
        raise InputError(
            f"model {model.name} takes {model.kind}, task {task.name} gives "
            f"{task.kind}; accepted: {', '.join(fitting)}"
        )
    chosen = parts.rows_of(given, RunOptions(**task.defaults), model, own.loss)
    return Rows(method, base, task, model, chosen, own)
