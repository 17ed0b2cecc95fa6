"""A controller of the catalog in a run: batches that grow, rates by examples."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxopt_lab.controllers import Controller, coordinate_ratio
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import schedules
from jaxopt_lab.lab.averaging import Averaging
from jaxopt_lab.lab.configuration import Configuration
from jaxopt_lab.lab.run_options import RunOptions
from jaxopt_lab.training.accumulate import Accumulation, make_accumulation, on_mesh
from jaxopt_lab.training.step_norms import step_norms

COORDINATES = "coordinate_ratio"


class Controlled(NamedTuple):
    """A controller, ready to run.

    Attributes:
      controller: its decisions have the number of micro-batches and, where the
        optimizer has one, the learning rate.
      first: the decision for the first step.
      examples: those of the whole run.
    """

    controller: Controller
    first: dict[str, Any]
    examples: int


def check(configuration: Configuration) -> None:
    """Refuse what does not go with a controller.

    Args:
      configuration: the run.

    Raises:
      InputError: names the option and the reason.
    """
    run, rows = configuration.run, configuration.rows
    if run.controller == "none":
        return
    said = f"controller={run.controller}"
    if run.micro_batches < 2:
        raise InputError(
            f"{said} reads the variance between micro-batches; accepted: "
            f"micro_batches=2 or more, got {run.micro_batches}"
        )
    for row in (rows.method, rows.base):
        if row is not None and "grad_fn" in row.needs:
            raise InputError(
                f"{said} adds up one gradient of each micro-batch; {row.name} asks for "
                "others"
            )
    plain = RunOptions()
    for name in ("seeds", "recipe", "style", "reduce", "batch_stats", "on_nonfinite"):
        if getattr(run, name) != getattr(plain, name):
            raise InputError(
                f"{said} goes with {name}={getattr(plain, name)} alone; got "
                f"{getattr(run, name)}"
            )
    if configuration.weight_decay and run.weight_decay_type == "decoupled":
        raise InputError(
            f"{said} changes the learning rate of the optimizer alone; accepted beside "
            "it: weight_decay_type=l2, or an optimizer with its own weight_decay"
        )
    _controller(configuration)  # its sizes may not fit


def by_micro_batch(configuration: Configuration) -> Configuration:
    """The run as its data see it: a micro-batch is a batch.

    Args:
      configuration: the run.

    Returns:
      The configuration; without a controller as it is.
    """
    run = configuration.run
    if run.controller == "none":
        return configuration
    size = run.batch_size // run.micro_batches
    changed = dataclasses.replace(run, batch_size=size, micro_batches=1)
    return dataclasses.replace(configuration, run=changed)


def prepare(configuration: Configuration) -> Controlled | None:
    """The controller of a run.

    Args:
      configuration: the run: its first batch is ``batch_size``, the micro-batch the
        part of it that ``micro_batches`` says.

    Returns:
      The controller; ``None`` for a run without.

    Raises:
      InputError: its options do not fit the batch.
    """
    run = configuration.run
    inner = _controller(configuration)
    if inner is None:
        return None
    first: dict[str, Any] = {"accumulation": run.micro_batches}
    peak = (configuration.method | configuration.base).get("learning_rate")
    if peak is not None:
        rate = _by_examples(run, peak)
        inner = with_rate(inner, rate)
        first["learning_rate"] = rate(0)
    return Controlled(inner, first, run.steps * run.batch_size)


def step(
    loss_fn: Any,
    tx: Any,
    run: RunOptions,
    averages: Averaging,
    shardings: Any = None,
    reads: Collection[str] = (),
) -> Accumulation:
    """The step of a run with a controller, in parts.

    Args:
      loss_fn: its loss.
      tx: its optimizer.
      run: its options by micro-batch.
      averages: of its weights.
      shardings: of its state, ``compute`` and ``storage``; ``None``: one device.
      reads: statistics that the controller reads.

    Returns:
      The parts.
    """
    parts = make_accumulation(
        loss_fn,
        tx,
        micro_batch=run.batch_size,
        measure=step_norms,
        of_entries=_of_entries if COORDINATES in reads else None,
    )
    if shardings is not None:
        inner = map(averages.plain, shardings)
        parts = on_mesh(parts, *inner)
    # The optimizer's state and the average in it are all the same to ``add``.
    apply: Any = parts.apply
    storage = None if shardings is None else shardings.storage
    return parts._replace(apply=averages.step(apply, storage))


def with_rate(controller: Controller, rate: Callable[[int], float]) -> Controller:
    """A controller that decides about the learning rate, too, by examples seen.

    Args:
      controller: it reads ``batch`` among its statistics.
      rate: the learning rate after a number of examples.

    Returns:
      The controller.

    >>> from jaxopt_lab.controllers import constant
    >>> both = with_rate(constant(micro_batch=4), lambda seen: 1 / (1 + seen))
    >>> both.decide({"batch": 3.0}, both.init())[0]
    {'accumulation': 2, 'learning_rate': 0.25}
    """

    def init() -> dict[str, Any]:
        return {"inner": controller.init(), "seen": 0}

    def decide(stats: Mapping[str, Any], state: dict[str, Any]) -> Any:
        decision, inner = controller.decide(stats, state["inner"])
        seen = state["seen"] + round(stats["batch"])
        after = {"inner": inner, "seen": seen}
        return {**decision, "learning_rate": rate(seen)}, after

    return Controller(init, decide)


def _of_entries(means: Any, squares: Any, count: Any, size: int) -> dict[str, Any]:
    ratio = coordinate_ratio(means, squares, count, size=size)
    # Records hold finite numbers; a larger one asks for the largest batch as well.
    return {COORDINATES: jnp.minimum(ratio, jnp.finfo(ratio.dtype).max)}


def _controller(configuration: Configuration) -> Controller | None:
    part, run = configuration.chosen("controller"), configuration.run
    if part is None:
        return None
    options = dict(part.options) | {
        "micro_batch": run.batch_size // run.micro_batches,
        "start_batch": run.batch_size,
    }
    try:
        return part.row.load()(**part.row.checked(options))
    except InputError as error:
        raise InputError(
            f"controller={run.controller}: {error} (start_batch is batch_size, "
            "micro_batch its part of micro_batches)"
        ) from None


def _by_examples(run: RunOptions, peak: float) -> Callable[[int], float]:
    """The run's schedule, whose step is as many examples as the first batch has."""
    import jax

    schedule = schedules.learning_rate(run, peak)

    def rate(seen: int) -> float:
        # On the host: a controller may not wait for the device.
        with jax.default_device(jax.local_devices(backend="cpu")[0]):
            return np.asarray(schedule(seen // run.batch_size)).item()

    return rate
