"""Where a run's state and batches lie, from its options."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
from jax.sharding import Mesh

from experiments.command_line import Configuration
from experiments.models.sharding import default_rules
from experiments.run_options import RunOptions
from jaxopt_lab import catalog
from jaxopt_lab.errors import InputError
from jaxopt_lab.training import (
    TrainState,
    make_mesh,
    make_parallel_step,
    parse_rules,
    state_shardings,
)
from jaxopt_lab.training.meshes import DATA_AXIS
from jaxopt_lab.training.sharding import Rules


class Placement(NamedTuple):
    """A mesh and what lies where on it.

    Attributes:
      mesh: the mesh; it has an axis ``"data"``.
      rules: sharding rules of the parameters.
      per_device: whether gradients are taken on each device's part by itself.
    """

    mesh: Mesh
    rules: Rules
    per_device: bool


def chosen(configuration: Configuration) -> Placement | None:
    """The placement that a run asks for.

    Args:
      configuration: the run.

    Returns:
      It; ``None`` for one device.

    Raises:
      InputError: the options do not fit each other or the devices there are.
    """
    run = configuration.run
    axes = run.mesh
    if axes == "auto":
        axes = DATA_AXIS if _worth_sharing(run) else f"{DATA_AXIS}:1"
    mesh = make_mesh(axes)
    if DATA_AXIS not in mesh.shape:
        raise InputError(f"mesh={run.mesh} needs an axis {DATA_AXIS!r}")
    if mesh.size == 1:
        for name in ("zero", "rules", "reduce"):
            if getattr(run, name) != getattr(RunOptions(), name):
                raise InputError(
                    f"{name}={getattr(run, name)} needs several devices; the mesh has "
                    "one. Give mesh="
                )
        return None
    if run.seeds > 1:
        raise InputError(
            f"seeds={run.seeds} are trained in one program on one device; give "
            f"mesh={DATA_AXIS}:1, or seeds=1 for mesh={run.mesh}"
        )
    parts = mesh.shape[DATA_AXIS] * run.micro_batches
    if run.batch_size % parts:
        raise InputError(
            f"batch_size={run.batch_size} cannot be cut into {mesh.shape[DATA_AXIS]} "
            f"parts of {run.micro_batches} micro-batches each (mesh={run.mesh})"
        )
    rules = parse_rules(run.rules) if run.rules else default_rules(run.model, mesh)
    return Placement(mesh, rules, _per_device(configuration))


def _worth_sharing(run: RunOptions) -> bool:
    """Whether the default takes all devices: virtual ones share the same cores."""
    if run.seeds > 1:
        return False
    if jax.process_count() == 1 and jax.devices()[0].platform == "cpu":
        return False
    return run.batch_size % (jax.device_count() * run.micro_batches) == 0


def _per_device(configuration: Configuration) -> bool:
    run, method = configuration.run, configuration.method
    return (
        run.style != "jit"
        or run.micro_batches > 1
        or run.batch_stats == "local"
        or run.reduce != "float32"
        or method.get("sync") == "local"
        or "num_shards" in method
    )


def on_each_device(
    configuration: Configuration, placement: Placement | None
) -> Configuration:
    """The run as each device sees it: shards of the batch are counted per device.

    Args:
      configuration: the run.
      placement: from ``chosen``.

    Returns:
      The configuration, with ``num_shards`` divided by the number of devices.

    Raises:
      InputError: it is not divisible.
    """
    shards = configuration.method.get("num_shards")
    if placement is None or shards is None:
        return configuration
    devices = placement.mesh.shape[DATA_AXIS]
    if shards % devices:
        raise InputError(
            f"num_shards={shards} is not a multiple of the {devices} devices of the "
            f"axis {DATA_AXIS!r}"
        )
    method = {**configuration.method, "num_shards": shards // devices}
    return dataclasses.replace(configuration, method=method)


def shardings(
    state: Any, configuration: Configuration, placement: Placement
) -> TrainState:
    """Where the state of a run lies; see ``training.state_shardings``."""
    run = configuration.run
    return state_shardings(
        state,
        placement.rules,
        placement.mesh,
        over=DATA_AXIS if run.zero else None,
        whole=catalog.get(run.method).whole_state,
        factors=catalog.get(run.method).factor_state,
    )


def parallel_step(
    loss_fn: Any,
    tx: Any,
    there: TrainState,
    configuration: Configuration,
    placement: Placement,
) -> Any:
    """The step of a run on its mesh; see ``training.make_parallel_step``."""
    run = configuration.run
    return make_parallel_step(
        loss_fn,
        tx,
        placement.mesh,
        there,
        style=run.style,
        per_device=placement.per_device,
        micro_batches=run.micro_batches,
        skip_nonfinite=run.on_nonfinite == "skip",
        elementwise=catalog.get(run.method).elementwise,
        reduce_dtype=None if run.reduce == "float32" else run.reduce,
    )
