"""Train in Python, and read trained runs back."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jaxopt_lab.core.errors import InputError, described
from jaxopt_lab.lab import command_line, parts, runs, summary, tasks
from jaxopt_lab.lab.configuration import Configuration, Own
from jaxopt_lab.lab.ended_run import of_outcome
from jaxopt_lab.lab.history import configuration_of
from jaxopt_lab.lab.models.own import OwnModel
from jaxopt_lab.lab.run_files import CHECKPOINTS
from jaxopt_lab.lab.run_page import write as run_page
from jaxopt_lab.lab.trained_run import Run
from jaxopt_lab.runtime import Checkpoints

if TYPE_CHECKING:
    from jaxopt_lab.lab.rates.measure import Found


def load(
    folder: str | Path,
    step: int | Literal["latest", "best"] = "latest",
    *,
    average: bool = False,
    model: Any = None,
    data: Any = None,
    data_dir: str = "",
    loss: Callable[..., Any] | None = None,
    metrics: Mapping[str, Callable[..., Any]] | None = None,
) -> Run:
    """A run of the lab, read back; its folder is only read.

    Args:
      folder: of the run.
      step: of the checkpoint: the newest, the best (by validation accuracy if the run
        kept a part aside, else by test accuracy), or a number.
      average: take the averaged weights that a run with ``ema=`` keeps.
      model: for a run of a model that no import path names, the model again.
      data: likewise the data; others than the run's own, of the same shapes and
        classes, may stand in for them, or the name of another task.
      data_dir: folder of the task's data, if it is not where it was.
      loss: likewise the loss.
      metrics: likewise the metrics.

    Returns:
      The run. It is on one device, whatever it was trained on.

    Raises:
      InputError: there is no run, no such checkpoint, or the model or data are missing.

    Example::

      run = jaxopt_lab.lab.load("runs/demo", step="best")
      run.predict(images)
    """
    folder = Path(folder).expanduser()
    own = _own(model, data, loss, metrics)
    newest = configuration_of(folder, None, own)
    checkpoints = Checkpoints(
        folder / CHECKPOINTS,
        best_metric=summary.chosen_by(newest),
        read_only=True,
    )
    if step == "latest":
        chosen = checkpoints.latest()
    elif step == "best":
        chosen = checkpoints.best()
        if chosen is None:
            raise InputError(f"{folder} has no best checkpoint: no test was made yet")
    elif isinstance(step, int):
        chosen = step
    else:
        raise InputError(f"step={step!r}; accepted: 'latest', 'best', or a number")
    configuration = configuration_of(folder, chosen, own)
    configuration = configuration.on_one_device()
    if data_dir or isinstance(data, str):
        plain = dataclasses.replace(configuration.run, data_dir=data_dir)
        configuration = dataclasses.replace(configuration, run=plain)
    program = runs.assemble(configuration)
    if average and program.averaged is None:
        raise InputError(f"{folder} keeps no average of the weights (ema=)")
    restored = checkpoints.restore(program.state, chosen)
    state, at = restored.state, restored.step
    return Run(folder, configuration, program, state, at, average)


def run(
    model: Any = "auto",
    data: Any = "digits",
    method: str = "sam",
    *,
    steps: int = 2000,
    loss: str | Callable[..., Any] | None = None,
    metrics: Mapping[str, Callable[..., Any]] | None = None,
    model_options: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    progress: bool = False,
    **options: Any,
) -> Run:
    """Train a network and return it with its record.

    Args:
      model: name of a model of the lab or ``"my.module:Net"``; a flax nnx or linen
        module's class, or a function that makes a module (see ``OwnModel`` for its
        arguments); a linen module.
      data: name of a task, or what ``data.as_dataset`` takes: ``(x, y)``, ``((x, y),
        (x, y))`` to train on and to test on, loaders instead of the pairs.
      method: of the catalog.
      steps: number of training steps.
      loss: of the catalog or ``"my.module:loss"``; ``loss(logits, labels)``, a number
        for each example; ``None``: the cross-entropy.
      metrics: ``metric(logits, labels) -> (examples,)`` by name, tested beside loss and
        accuracy.
      model_options: arguments of the model that are numbers, words or tuples of
        integers.
      out: folder of the run, resumed if it is there; ``None``: a new one below runs/.
      progress: show a progress line.
      **options: as on the command line (``jaxopt-lab train --help``): those of the
        method and its base (``rho=0.1``), ``seeds=3``, ``batch_size=128``, ``val=0.1``.

    Returns:
      The run at its last step.

    Raises:
      InputError: an option, the model or the data cannot be used; the message names
        what is accepted.

    Example::

      class Net(nnx.Module):
          def __init__(self, in_features, num_classes, width=64, *, rngs):
              self.hidden = nnx.Linear(in_features, width, rngs=rngs)
              self.head = nnx.Linear(width, num_classes, rngs=rngs)

          def __call__(self, x):
              return self.head(nnx.relu(self.hidden(x)))

      run = jaxopt_lab.lab.run(model=Net, data=(x, y), method="sam", steps=500)
    """
    options = {"method": method, "steps": steps, **options}
    options["progress"] = "on" if progress else "off"
    if out is not None:
        options["out"] = out
    configuration = _configured(model, data, loss, metrics, model_options, options)
    outcome = runs.train(configuration)
    found = of_outcome(configuration, outcome)
    run_page.after(found, outcome)
    return found


def find_rate(
    model: Any = "auto",
    data: Any = "digits",
    method: str = "sam",
    *,
    loss: str | Callable[..., Any] | None = None,
    model_options: Mapping[str, Any] | None = None,
    progress: bool = False,
    **options: Any,
) -> Found:
    """Find a learning rate of a run, from curvature and from a range test.

    Args:
      model: as of ``run``; likewise ``data``, ``method``, ``loss`` and
        ``model_options``.
      data: of the run.
      method: of the run.
      loss: of the run.
      model_options: of the run.
      progress: print a line before each measurement.
      **options: of ``jaxopt-lab find_rate``: ``lowest_rate=1e-6``,
        ``highest_rate=10.0``, ``range_steps=150``, ``examples=512``, ``num_steps=40``;
        the others are those of ``run``.

    Returns:
      The rates: ``proposed``, the one to train with or ``None``; ``marks``, those of
      every rule by name; ``stable``, those from curvature; ``test``, the losses of the
      range test; ``notes``, sentences about them.

    Raises:
      InputError: an option cannot be used, or there is no rate to find.

    Example::

      found = jaxopt_lab.lab.find_rate(Net, (x, y), "sgd")
      run = jaxopt_lab.lab.run(Net, (x, y), "sgd", learning_rate=found.proposed)
    """
    from jaxopt_lab.lab.rates import measure
    from jaxopt_lab.lab.rates import options as options_of

    mine, others = options_of.apart({"method": method, **options})
    chosen = options_of.of_values(mine)
    configuration = _configured(model, data, loss, None, model_options, others)
    options_of.check(configuration)

    def say(text: str) -> None:
        if progress:
            print(text, flush=True)

    return measure.find_rate(configuration, chosen, say)


def _configured(
    model: Any,
    data: Any,
    loss: str | Callable[..., Any] | None,
    metrics: Mapping[str, Callable[..., Any]] | None,
    model_options: Mapping[str, Any] | None,
    options: Mapping[str, Any],
) -> Configuration:
    """The configuration of a run whose parts are objects or names."""
    own = _own(
        None if isinstance(model, str) else model,
        None if isinstance(data, str) else data,
        None if isinstance(loss, str) else loss,
        metrics,
    )
    given = {
        **options,
        **{f"model.{name}": value for name, value in (model_options or {}).items()},
    }
    named = (("model", model), ("task", data), ("loss", loss))
    given |= {name: value for name, value in named if isinstance(value, str)}
    return command_line.configured(given, own)


def _own(
    model: Any,
    data: Any,
    loss: Callable[..., Any] | None,
    metrics: Mapping[str, Callable[..., Any]] | None,
) -> Own:
    return Own(
        task=_own_task(data),
        model=None if model is None else _own_model(model),
        loss=None if loss is None else parts.own_loss(_name_of(loss, "loss"), loss),
        metrics=dict(metrics or {}),
    )


def _own_task(data: Any) -> tasks.Task | None:
    if data is None or isinstance(data, tasks.Task):
        return data
    return tasks.get(data) if isinstance(data, str) else tasks.of_data(data)


def _own_model(model: Any) -> OwnModel:
    from flax import linen, nnx

    if isinstance(model, nnx.Module):
        raise InputError(
            f"model is a {type(model).__name__} with its weights; give the class or a "
            "function that makes it, so that each seed gets weights of its own"
        )
    if isinstance(model, linen.Module):
        return OwnModel(_name_of(type(model), "model"), lambda: model)
    if not callable(model):
        raise InputError(
            f"model is {described(model)}; accepted: a name, a flax module's class, a "
            "function that makes a module, or a linen module"
        )
    return OwnModel(_name_of(model, "model"), model)


def _name_of(value: Any, otherwise: str) -> str:
    """``module:name`` where that can be imported, else the name alone."""
    module, name = getattr(value, "__module__", ""), getattr(value, "__qualname__", "")
    if not name or "<" in name:
        return otherwise
    return f"{module}:{name}" if module else name
