"""A real train step, compiled by shapes for devices that are not there."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from jaxopt_lab.core.meshes import DATA_AXIS
from jaxopt_lab.lab.plan import wire, work
from jaxopt_lab.lab.plan.kept import Residual, kept, local_bytes
from jaxopt_lab.lab.plan.layout import Layout, place, transform
from jaxopt_lab.lab.plan.module_text import read_module
from jaxopt_lab.lab.plan.partitioned import compile_partitioned
from jaxopt_lab.lab.plan.planned_model import PlannedModel
from jaxopt_lab.lab.plan.transformer_layer import held as constrained
from jaxopt_lab.training import make_parallel_step
from jaxopt_lab.training.sharding_rules import axis_names


class Plan(NamedTuple):
    """Bytes, operations and messages of one step on each device.

    Attributes:
      arguments: bytes of parameters, optimizer state and batch: exact.
      parameters: bytes of the parameters among them.
      optimizer: bytes of the optimizer state among them.
      residuals: what the backward pass needs, the largest first.
      logits: bytes of the logits among them, in whose place their cotangent comes.
      gradients: bytes of one tree of gradients.
      working: bytes of one layer that the backward pass recomputes; 0: none is.
      gathered: bytes of optimizer state that a step brings from other devices.
      flops: operations of the products in one step; NaN where a loop is unknown.
      sent: what goes over the wire.
      exact_text: whether ``sent`` and ``flops`` come from the partitioner's module.
      argument_check: ``argument_size_in_bytes`` of the compiled program.
    """

    arguments: float
    parameters: float
    optimizer: float
    residuals: list[Residual]
    logits: float
    gradients: float
    working: float
    gathered: float
    flops: float
    sent: list[wire.Sent]
    exact_text: bool
    argument_check: float

    @property
    def activations(self) -> float:
        """Bytes of all residuals."""
        return sum(r.nbytes for r in self.residuals)

    @property
    def peak_estimate(self) -> float:
        """Arguments and the most of three moments.

        At the end of the forward pass all residuals are there. In the layers that are
        recomputed the logits are gone, and gradients of all stacked layers and one
        layer's own values have come; where no layer is, gradients come as residuals go.
        At the update there are the gradients, and what is gathered of a divided state.
        """
        inside = self.gradients
        if self.working:
            inside += self.activations - self.logits + self.working
        update = self.gradients + self.gathered
        return self.arguments + max(self.activations, inside, update)


def trace(model: PlannedModel, method: str, layout: Layout) -> Any:
    """One train step traced for the layout's devices.

    Args:
      model: the model.
      method: a name in the catalog.
      layout: from ``lay_out``.

    Returns:
      The traced step, to be lowered.
    """
    step = make_parallel_step(
        model.loss_fn(gathered=layout.gathered),
        transform(method),
        layout.mesh,
        layout.compute,
        style="jit",
        storage=layout.storage,
    )
    state = jax.tree.map(place, layout.state, layout.storage)
    return jax.jit(step, donate_argnums=0).trace(state, layout.batch)


def plan(model: PlannedModel, method: str, layout: Layout) -> Plan:
    """Compile one step and read what it needs.

    Args:
      model: the model.
      method: a name in the catalog.
      layout: from ``layout``.

    Returns:
      The plan. The compiler's own ``peak``, ``temp`` and ``flops`` are not used: on
      this backend they are wrong by 2 to 23 times for such a program.
    """
    loss = model.loss_fn(gathered=layout.gathered)
    lowered = trace(model, method, layout).lower()
    # The program never runs: optimization level 0 compiles fastest.
    found = compile_partitioned(lowered, xla_backend_optimization_level=0)
    module = read_module(found.text)
    size = jax.tree.leaves(layout.batch)[0].shape[0]
    parameters = layout.bytes_of("params")
    optimizer = layout.bytes_of("opt_state")
    rest = sum(local_bytes(x, x.sharding) for x in jax.tree.leaves(layout.batch))
    rest += sum(layout.bytes_of(part) for part in ("step", "model_state", "key"))
    analysis = found.compiled.memory_analysis()
    return Plan(
        arguments=parameters + optimizer + rest,
        parameters=parameters,
        optimizer=optimizer,
        residuals=residuals(loss, layout),
        logits=2.0 * model.logits(size) / layout.mesh.size,
        gradients=parameters,
        working=_working(model, layout, size),
        gathered=_gathered(layout),
        flops=work.flops(module),
        sent=wire.sent(module, layout.mesh.shape),
        exact_text=found.exact,
        argument_check=analysis.argument_size_in_bytes,
    )


def residuals(loss: Any, layout: Layout) -> list[Residual]:
    """Residuals of the linearised loss on each device.

    Args:
      loss: from ``PlannedModel.loss_fn``.
      layout: shardings of its arguments.

    Returns:
      The residuals, the largest first; see ``kept``.
    """
    scalar = lambda params, *rest: loss(params, *rest, None)[0]
    parts = (layout.placed("params"), layout.placed("model_state"))
    return kept(scalar, *parts, layout.batch)


def _working(model: PlannedModel, layout: Layout, size: int) -> float:
    """Bytes of one layer while its backward pass runs.

    What its linearisation holds, and cotangents: of its input and parameters, as they
    are used, and of the largest of what it holds.
    """
    again = model.layer_of(size)
    if again is None:
        return 0.0
    layer, shape = again
    x = place(shape, NamedSharding(layout.mesh, P(DATA_AXIS)))

    def one(x: Any) -> jax.ShapeDtypeStruct:
        sharding = NamedSharding(layout.mesh, P(*x.sharding.spec[1:]))
        return jax.ShapeDtypeStruct(x.shape[1:], x.dtype, sharding=sharding)

    stored = jax.tree.map(one, layout.placed("params")["layers"])
    gathered = None if layout.gathered is None else layout.gathered["layers"]
    used = stored if gathered is None else jax.tree.map(place, stored, gathered)
    found = kept(
        lambda both: layer(both[0], constrained(both[1], gathered)),
        (x, stored),
    )
    held = sum(r.nbytes for r in found) + found[0].nbytes
    return held + sum(local_bytes(v, v.sharding) for v in jax.tree.leaves((x, used)))


def _gathered(layout: Layout) -> float:
    """Bytes of optimizer state that a step has beyond what a device stores."""
    trees = layout.state.opt_state, layout.compute.opt_state, layout.storage.opt_state
    return sum(
        local_bytes(x, whole) - local_bytes(x, part)
        for x, whole, part in zip(*map(jax.tree.leaves, trees), strict=True)
    )


def whole_on(layout: Layout, axis: str) -> float:
    """Bytes of optimizer state that every device along an axis of the mesh has whole.

    Args:
      layout: the layout.
      axis: ``"model"``: blocks of codes that cross the parts of their parameter,
        windows, and factors of a whole matrix are not divided over it.

    Returns:
      Bytes on one device, of leaves with axes; 0 where the mesh has no such axis.
    """
    if layout.mesh.shape.get(axis, 1) == 1:
        return 0.0
    trees = layout.state.opt_state, layout.storage.opt_state
    return sum(
        local_bytes(x, there)
        for x, there in zip(*map(jax.tree.leaves, trees), strict=True)
        if x.ndim and not any(axis in axis_names(entry) for entry in there.spec)
    )


def state_table(layouts: dict[str, Layout]) -> list[tuple[str, float, float, float]]:
    """Bytes of optimizer state by method.

    Args:
      layouts: a layout for each method.

    Returns:
      ``(method, bytes on one device, of these what is whole on the model axis, bytes a
      parameter over all devices)``.
    """
    rows = []
    for name, one in layouts.items():
        whole = sum(
            math.prod(x.shape) * _itemsize(x)
            for x in jax.tree.leaves(one.state.opt_state)
        )
        count = sum(math.prod(x.shape) for x in jax.tree.leaves(one.state.params))
        here, undivided = one.bytes_of("opt_state"), whole_on(one, "model")
        rows.append((name, here, undivided, whole / count))
    return rows


def _itemsize(x: Any) -> float:
    if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        return 8.0
    return float(jnp.dtype(x.dtype).itemsize)
