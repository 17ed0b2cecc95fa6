"""A run in Python: train a model of one's own, or read a trained one back."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import jax
import numpy as np

from jaxopt_lab.core.errors import InputError, described
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.core.typing import ModelState, Params
from jaxopt_lab.data import as_dataset, evaluation_batches
from jaxopt_lab.lab import command_line, parts, runs, tasks
from jaxopt_lab.lab.assembly import Program
from jaxopt_lab.lab.configuration import Configuration, Own
from jaxopt_lab.lab.history import configuration_of
from jaxopt_lab.lab.models.own import OwnModel
from jaxopt_lab.lab.run_files import CHECKPOINTS, METRICS, read_summary
from jaxopt_lab.losses.classification import to_float
from jaxopt_lab.runtime import Checkpoints, read_metrics
from jaxopt_lab.training import make_evaluator

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_EVALUATED_BATCH = 500


class Run:
    """A trained network with its record.

    With several seeds ``params`` and ``model_state`` have a leading axis of seeds, and
    so have the results of ``apply``, ``predict`` and ``evaluate``; ``run.seed(i)`` is
    one of them alone.

    Attributes:
      folder: of its files.
      step: number of steps of the checkpoint.
      configuration: the options as the lab uses them.
      params: the parameters to evaluate (of a method that trains at a perturbed point,
        the unperturbed ones).
      model_state: the model state that belongs to them.
      model: the model as pure functions.
      seeds: number of seeds.
      kind: of the data, ``"image"`` or ``"text"``.
      input_shape: shape of one input.
    """

    def __init__(
        self,
        folder: Path,
        configuration: Configuration,
        program: Program,
        state: Any,
        step: int,
    ) -> None:
        self.folder, self.step = folder, step
        self.configuration = configuration
        self._program = program
        self.model: Functional = program.functional
        self.kind: str = program.kind
        self.input_shape: tuple[int, ...] = program.input_shape
        self.seeds = configuration.run.seeds
        viewed = program.view(state)
        evaluated = configuration.rows.method.eval_params_fn
        if evaluated is not None:
            both = jax.vmap(evaluated) if self.seeds > 1 else evaluated
            viewed = viewed._replace(params=both(viewed.params, viewed.opt_state))
        self._state = viewed
        self.params: Params = viewed.params
        self.model_state: ModelState = viewed.model_state

    def __repr__(self) -> str:
        run = self.configuration.run
        return (
            f"Run({str(self.folder)!r}: {run.method} on {run.task} with {run.model}, "
            f"step {self.step}, {self.seeds} seed(s))"
        )

    @property
    def config(self) -> dict[str, Any]:
        """All options by their names on the command line."""
        return self.configuration.flat()

    @property
    def summary(self) -> dict[str, Any]:
        """The figures of ``summary.json``."""
        return read_summary(self.folder)

    @property
    def records(self) -> list[dict[str, Any]]:
        """The logged records, a dict for each line of ``metrics.jsonl``."""
        return read_metrics(self.folder / METRICS)

    def table(self, kind: Literal["train", "test"] = "test") -> dict[str, np.ndarray]:
        """The records of one kind as columns; ``pandas.DataFrame`` takes it.

        Args:
          kind: ``"train"`` or ``"test"``.

        Returns:
          Arrays by name, ``(records,)``, or ``(records, seeds)`` with several seeds.
        """
        rows = [r for r in self.records if r["kind"] == kind]
        names = dict.fromkeys(name for row in rows for name in row if name != "kind")
        return {n: np.array([row.get(n, np.nan) for row in rows]) for n in names}

    def seed(self, index: int) -> Run:
        """One of several seeds, without the axis of seeds.

        Args:
          index: from 0.

        Returns:
          The run of this seed; ``config`` and ``records`` stay those of all.

        Raises:
          InputError: there is no such seed.
        """
        if not 0 <= index < self.seeds:
            raise InputError(f"seed {index} of a run of {self.seeds} seed(s), from 0")
        if self.seeds == 1:
            return self
        one = object.__new__(Run)
        one.__dict__.update(self.__dict__)
        one.__dict__.pop("_applied", None)  # of all seeds
        one._state = jax.tree.map(lambda x: x[index], self._state)
        one.params, one.model_state = one._state.params, one._state.model_state
        one.seeds = 1
        return one

    def with_weights(self, params: Params, model_state: ModelState) -> Run:
        """The same run with other weights.

        Args:
          params: like ``params``.
          model_state: like ``model_state``.

        Returns:
          The run.
        """
        other = object.__new__(Run)
        other.__dict__.update(self.__dict__)
        other.params, other.model_state = params, model_state
        other._state = self._state._replace(params=params, model_state=model_state)
        return other

    @property
    def test_examples(self) -> int | None:
        """Number of examples of the run's own test; ``None`` of a streamed set."""
        batches = self._program.test
        if callable(batches):
            return None
        weights = (batch.get("weight") for batch in batches)
        lengths = (len(next(iter(batch.values()))) for batch in batches)
        return round(
            sum(
                n if w is None else float(np.sum(w))
                for w, n in zip(weights, lengths, strict=True)
            )
        )

    def apply(self, inputs: Any) -> jax.Array:
        """Outputs of the network in evaluation mode: logits.

        Args:
          inputs: a batch as the training had them; integers of images are divided by
            255, as in the training step.

        Returns:
          Logits of the batch; ``(seeds, ...)`` with several seeds.
        """
        return self._applied(self.params, self.model_state, self._prepared(inputs))

    def predict(self, inputs: Any) -> np.ndarray:
        """The most likely class (or next token) of each input.

        Args:
          inputs: as in ``apply``.

        Returns:
          Integers.
        """
        return np.asarray(jax.numpy.argmax(self.apply(inputs), axis=-1))

    def evaluate(self, data: Any = None) -> dict[str, Any]:
        """Loss, accuracy and the run's own metrics over examples.

        Args:
          data: ``(x, y)``, a loader, or a dict, as ``data.as_dataset`` takes the part
            to test on; ``None``: the test part of the run's own data.

        Returns:
          Means over all examples by name; arrays of shape ``(seeds,)`` with several.

        Raises:
          InputError: the data do not fit the model.
        """
        batches = self._program.test if data is None else self._batches(data)
        evaluator = make_evaluator(
            self._program.test_metric_fn, batches, seeds=self.seeds > 1
        )
        return {n: _number(v) for n, v in evaluator(self._state).items()}

    def curves(self) -> Figure:
        """Loss and accuracy against the step, as in ``curves.png``."""
        from jaxopt_lab.plotting import training_curves

        return training_curves(self.records, repr(self))

    def _batches(self, data: Any) -> Any:
        found = as_dataset({"train": data, "test": data}, "data")
        if found.kind != self._program.kind:
            raise InputError(
                f"the run is on {self._program.kind}, the data are {found.kind}"
            )
        size = min(_EVALUATED_BATCH, len(next(iter(found.test.values()))))
        return evaluation_batches(found.test, size)

    def _prepared(self, inputs: Any) -> jax.Array:
        arrays = jax.numpy.asarray(inputs)
        return to_float(arrays) if self._program.kind == "image" else arrays

    @functools.cached_property
    def _applied(self) -> Callable[..., jax.Array]:
        def outputs(params: Any, model_state: Any, inputs: Any) -> jax.Array:
            return self.model.apply(params, model_state, inputs, train=False)[0]

        several = jax.vmap(outputs, (0, 0, None)) if self.seeds > 1 else outputs
        return jax.jit(several)


def load(
    folder: str | Path,
    step: int | Literal["latest", "best"] = "latest",
    *,
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
        best_metric="val_accuracy" if newest.run.val else "accuracy",
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
    restored = checkpoints.restore(program.state, chosen)
    return Run(folder, configuration, program, restored.state, restored.step)


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
    own = _own(
        None if isinstance(model, str) else model,
        None if isinstance(data, str) else data,
        None if isinstance(loss, str) else loss,
        metrics,
    )
    given: dict[str, Any] = {"method": method, "steps": steps, **options}
    given |= {f"model.{name}": value for name, value in (model_options or {}).items()}
    named = (("model", model), ("task", data), ("loss", loss))
    given |= {name: value for name, value in named if isinstance(value, str)}
    given["progress"] = "on" if progress else "off"
    if out is not None:
        given["out"] = out
    configuration = command_line.configured(given, own)
    outcome = runs.train(configuration)
    program = outcome.program
    if outcome.fitted is not None:
        state = outcome.fitted.state
    else:
        saved = Checkpoints(outcome.folder / CHECKPOINTS, read_only=True)
        state = saved.restore(program.state).state
    step = int(np.ravel(state.step)[0])
    return Run(outcome.folder, configuration, program, state, step)


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


def _number(value: Any) -> Any:
    array = np.asarray(value)
    return float(array) if array.ndim == 0 else array
