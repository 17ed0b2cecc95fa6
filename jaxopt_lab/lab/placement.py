"""Meshes and shardings of a run, from its options."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, NamedTuple

import jax
from jax.sharding import Mesh

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.meshes import DATA_AXIS, SEEDS_AXIS
from jaxopt_lab.lab.configuration import Configuration
from jaxopt_lab.lab.models.sharding import default_rules
from jaxopt_lab.lab.run_options import RunOptions
from jaxopt_lab.training import (
    TrainState,
    make_mesh,
    make_parallel_step,
    parse_rules,
    state_shardings,
    storage_shardings,
)
from jaxopt_lab.training.sharding_rules import Rules
from jaxopt_lab.training.step_norms import step_norms


class Placement(NamedTuple):
    """A mesh and the rules by which a run is laid out on it.

    Attributes:
      mesh: the mesh; it has an axis ``"data"``.
      rules: sharding rules of the parameters; ``None``: the model's own.
      per_device: whether gradients are taken on each device's part by itself.
    """

    mesh: Mesh
    rules: Rules | None
    per_device: bool

    def averages_statistics(self, run: RunOptions) -> bool:
        """Whether batch statistics must be averaged over the devices by the model.

        Args:
          run: says whether they are global.

        Returns:
          False where the compiler sees the whole batch, or one device holds it.
        """
        several = self.mesh.shape[DATA_AXIS] > 1
        return several and self.per_device and run.batch_stats == "global"


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
    axes = _automatic(run) if run.mesh == "auto" else run.mesh
    mesh = make_mesh(axes)
    if SEEDS_AXIS in mesh.shape and DATA_AXIS not in mesh.shape:
        mesh = make_mesh(f"{axes},{DATA_AXIS}:1")
    if DATA_AXIS not in mesh.shape:
        raise InputError(f"mesh={run.mesh} needs an axis {DATA_AXIS!r}")
    if mesh.size == 1:
        for name in ("zero", "rules", "reduce", "style", "batch_stats"):
            if getattr(run, name) != getattr(RunOptions(), name):
                raise InputError(
                    f"{name}={getattr(run, name)} needs several devices; the mesh has "
                    "one. Give mesh="
                )
        return None
    _check_seeds(run, mesh)
    parts = mesh.shape[DATA_AXIS] * run.micro_batches
    if run.batch_size % parts:
        raise InputError(
            f"batch_size={run.batch_size} cannot be cut into {mesh.shape[DATA_AXIS]} "
            f"parts of {run.micro_batches} micro-batches each (mesh={run.mesh})"
        )
    rules = parse_rules(run.rules) if run.rules else None
    return Placement(mesh, rules, _per_device(configuration))


def _automatic(run: RunOptions) -> str:
    """All devices if they divide the work; virtual ones share the same cores."""
    virtual = jax.process_count() == 1 and jax.devices()[0].platform == "cpu"
    return f"{DATA_AXIS}:1" if virtual else shared_work(run, jax.device_count())


def shared_work(run: RunOptions, devices: int) -> str:
    """The axes over which a run's work divides among devices.

    Args:
      run: how many seeds, how large a batch.
      devices: how many there are.

    Returns:
      A mesh for ``make_mesh``: seeds first, which send nothing to each other; what
      they leave for the batch if it divides, and one device (for each seed) if not.

    >>> shared_work(RunOptions(seeds=6, batch_size=64), 8)
    'seeds:2,data:4'
    """
    groups = 1
    # Seeds over several processes would need records of other processes' devices.
    if run.seeds > 1 and run.style == "jit" and jax.process_count() == 1:
        groups = math.gcd(run.seeds, devices)
    rest = devices // groups
    if run.batch_size % (rest * run.micro_batches) or (
        run.style != "jit" and run.seeds > 1
    ):
        rest = 1
    data = f"{DATA_AXIS}:{rest}"
    return data if groups == 1 else f"{SEEDS_AXIS}:{groups},{data}"


def _check_seeds(run: RunOptions, mesh: Mesh) -> None:
    groups = mesh.shape.get(SEEDS_AXIS, 1)
    if run.seeds == 1 and groups == 1:
        return
    if run.seeds % groups:
        raise InputError(
            f"seeds={run.seeds} cannot be cut into {groups} equal parts, one for each "
            f"group of devices (mesh={run.mesh})"
        )
    if run.style != "jit":
        raise InputError(
            f"style={run.style} trains one seed; use style=jit, seeds=1, or "
            f"mesh={DATA_AXIS}:1 for seeds={run.seeds}"
        )
    if groups > 1 and jax.process_count() > 1:
        raise InputError(
            f"mesh={run.mesh}: seeds are cut over the devices of one process; start "
            "each process by itself with its own seed= and out="
        )


def _per_device(configuration: Configuration) -> bool:
    run, method = configuration.run, configuration.method
    return (
        run.style != "jit"
        or run.micro_batches > 1
        or run.batch_stats == "local"
        or run.reduce != "float32"
        # Plain jit would send the gradients of bfloat16 products in bfloat16.
        or run.precision != "float32"
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


class StateShardings(NamedTuple):
    """Shardings of the train state of a run.

    Attributes:
      compute: during a step.
      storage: between two steps.
    """

    compute: TrainState
    storage: TrainState


def shardings(
    state: Any, configuration: Configuration, placement: Placement
) -> StateShardings:
    """The shardings of a run's state.

    Args:
      state: its shapes.
      configuration: the run.
      placement: from ``chosen``.

    Returns:
      The shardings; see ``training.state_shardings`` and ``storage_shardings``.

    Raises:
      InputError: the sharding rules do not fit the parameters.
    """
    run, mesh, rules = configuration.run, placement.mesh, placement.rules
    if rules is None:
        rules = default_rules(run.model, mesh, state.params)
    row = configuration.rows.method
    compute = state_shardings(
        state,
        rules,
        mesh,
        zero_axis=DATA_AXIS if run.zero else None,
        # The other styles refuse a leaf that they cannot divide.
        replicated=row.whole_state if run.style == "jit" else "",
        factored=row.factored_state,
    )
    storage = compute
    if run.zero and run.style == "jit":
        storage = storage_shardings(state, compute, DATA_AXIS)
    return StateShardings(compute, storage)


def parallel_step(
    loss_fn: Any,
    tx: Any,
    placed: StateShardings,
    configuration: Configuration,
    placement: Placement,
) -> Any:
    """The step of a run on its mesh; see ``training.make_parallel_step``."""
    run = configuration.run
    return make_parallel_step(
        loss_fn,
        tx,
        placement.mesh,
        placed.compute,
        style=run.style,
        per_device=placement.per_device,
        micro_batches=run.micro_batches,
        skip_nonfinite=run.on_nonfinite == "skip",
        # A norm over all parameters needs them all.
        elementwise=configuration.rows.method.elementwise and not run.clip_norm,
        reduce_dtype=None if run.reduce == "float32" else run.reduce,
        storage=placed.storage if run.style == "jit" else None,
        measure=step_norms,
    )
