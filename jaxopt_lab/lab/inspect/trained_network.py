"""A trained network, read back from its run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import Batch, ModelState, Params
from jaxopt_lab.lab import history, probing, runs
from jaxopt_lab.lab.configuration import Configuration
from jaxopt_lab.lab.history import configuration_of
from jaxopt_lab.lab.inspect.options import InspectOptions
from jaxopt_lab.lab.trained_run import Run
from jaxopt_lab.runtime import Checkpoints, read_metrics


class TrainedNetwork(NamedTuple):
    """A network with its checkpoint, its loss and its examples.

    Attributes:
      run: with all of its seeds.
      configuration: of the run.
      step: of the checkpoint.
      params: the parameters to evaluate.
      model_state: the model state that belongs to them.
      loss_fn: ``loss_fn(params, model_state, batch)``, the mean in evaluation mode.
      batches: the examples.
      records: the run's records, those of the chosen seed.
      seed: the chosen one.
      about: versions, commit, host and command of the run; empty for one of an older
        version.
    """

    run: Run
    configuration: Configuration
    step: int
    params: Params
    model_state: ModelState
    loss_fn: Callable[[Params, ModelState, Batch], jax.Array]
    batches: Sequence[Batch]
    records: list[dict[str, Any]]
    seed: int
    about: dict[str, Any]


def read(options: InspectOptions) -> TrainedNetwork:
    """Read a run.

    Args:
      options: name the folder, the step, the seed, and how many examples.

    Returns:
      The network.

    Raises:
      InputError: there is no run in the folder, it has no such checkpoint or seed, or
        its data are not there any more.
    """
    folder = Path(options.run).expanduser()
    checkpoints = Checkpoints(folder / "checkpoints", read_only=True)
    at = checkpoints.latest() if options.step < 0 else options.step
    configuration = configuration_of(folder, at)
    run = configuration.run
    if options.seed_index >= run.seeds:
        raise InputError(
            f"seed_index={options.seed_index} is out of range; the run has "
            f"{run.seeds} seed(s)"
        )
    program = runs.assemble(configuration)
    chosen = None if options.step < 0 else options.step
    restored = checkpoints.restore(program.state, chosen)
    trained = Run(folder, configuration, program, restored.state, restored.step)
    trained.need_classifier("inspect")
    one = trained.seed(options.seed_index)
    path = folder / "metrics.jsonl"
    records = read_metrics(path) if path.exists() else []
    return TrainedNetwork(
        trained,
        configuration,
        restored.step,
        one.params,
        one.model_state,
        probing.mean_loss(program.metric_fn),
        program.fixed(options.examples),
        [_of_seed(record, options.seed_index) for record in records],
        run.seed + options.seed_index,
        (history.read(folder) or [{}])[-1],
    )


def _of_seed(record: dict[str, Any], index: int) -> dict[str, Any]:
    def one(value: Any) -> Any:
        return value[index] if np.ndim(value) == 1 and len(value) > index else value

    return {name: one(value) for name, value in record.items()}
