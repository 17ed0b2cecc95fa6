"""A plan as tables."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

from jaxopt_lab.core.errors import InputError, unknown
from jaxopt_lab.core.meshes import DATA_AXIS
from jaxopt_lab.lab import methods
from jaxopt_lab.lab.plan import estimate, tpu, wire
from jaxopt_lab.lab.plan.chips import CHIPS, Chip
from jaxopt_lab.lab.plan.configs import MODELS
from jaxopt_lab.lab.plan.layout import Layout, lay_out
from jaxopt_lab.lab.plan.planned_model import PlannedModel
from jaxopt_lab.training import make_mesh


def run(options: Any) -> None:
    """Make the plan that the options ask for and print it.

    Args:
      options: a ``PlanOptions``.

    Raises:
      InputError: an unknown model or method, or a batch or model that the mesh cannot
        divide.
    """
    from rich.console import Console

    if options.model not in MODELS:
        raise unknown("model", options.model, MODELS)
    if options.method != "all":
        methods.get(options.method)
    mesh = make_mesh(options.mesh)
    target = tpu.mesh_like(mesh, options.target) if options.target else None
    if DATA_AXIS not in mesh.shape or set(mesh.shape) - {DATA_AXIS, "model"}:
        raise InputError(
            f"mesh={options.mesh}: a plan takes the axes data and model, data at least"
        )
    if options.batch % mesh.shape[DATA_AXIS]:
        raise InputError(
            f"batch={options.batch} cannot be cut into {mesh.shape[DATA_AXIS]} equal "
            f"parts (mesh={options.mesh})"
        )
    model = MODELS[options.model]
    began = time.process_time()
    console = Console()

    def laid(method: str, mesh: Any = mesh) -> Layout:
        return lay_out(model, method, mesh, options.batch, zero=options.zero)

    if options.method == "all":
        layouts = {name: laid(name) for name in methods.names()}
        figures = _all(estimate.state_table(layouts), console, options)
    else:
        one = laid(options.method)
        found = estimate.plan(model, options.method, one)
        real = None
        if target is not None:
            sys.stderr.write(
                f"compiling for {options.target}: two to ten minutes on one core\n"
            )
            real = tpu.memory(model, options.method, laid(options.method, target))
        figures = _one(found, real, model, options, one, console)
    seconds = time.process_time() - began
    console.print(f"{seconds:.0f} s of processor time", highlight=False)
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=2) + "\n")


def _table(title: str, *columns: str) -> Any:
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i == 0 else "right")
    return table


def _gb(value: float) -> str:
    return f"{value / 1e9:.3f} GB"


def _seconds(value: float) -> str:
    return f"{value:.3f} s" if value >= 0.1 else f"{1e3 * value:.3g} ms"


_WHOLE = (
    "whole on the model axis: state of parameters that are not divided over it, blocks "
    "of codes that cross the parts of their parameter, windows of blocks that run "
    "across rows, and factors of a whole matrix; zero=state divides them between the "
    "steps"
)


def _all(
    rows: list[tuple[str, float, float, float]], console: Any, options: Any
) -> Any:
    table = _table(
        f"optimizer state, {options.model} on {options.mesh}, zero={options.zero}",
        "method",
        "on each device",
        "whole on the model axis",
        "bytes a parameter, all devices",
    )
    for name, here, undivided, whole in rows:
        table.add_row(name, _gb(here), _gb(undivided), f"{whole:.2f}")
    console.print(table)
    if any(undivided for _, _, undivided, _ in rows):
        console.print(_WHOLE, highlight=False, soft_wrap=True)
    console.print("links and wrappers: with AdamW behind them", highlight=False)
    return [
        {
            "method": name,
            "bytes_on_a_device": here,
            "whole_on_the_model_axis": undivided,
            "bytes_a_parameter": whole,
        }
        for name, here, undivided, whole in rows
    ]


def _one(
    plan: estimate.Plan,
    real: tpu.Memory | None,
    model: PlannedModel,
    options: Any,
    layout: Layout,
    console: Any,
) -> dict[str, Any]:
    chip = CHIPS[options.chip]
    table = _table(
        f"{options.model}, {options.method}, {options.mesh}, batch {options.batch} of "
        f"{model.example}: bytes on each device",
        "what",
        "bytes",
        "how it is known",
    )
    table.add_row("parameters, float32", _gb(plan.parameters), "exact")
    table.add_row("optimizer state", _gb(plan.optimizer), "exact")
    undivided = estimate.whole_on(layout, "model")
    if undivided:
        table.add_row("  whole on the model axis", _gb(undivided), "see below")
    table.add_row("arguments (with the batch)", _gb(plan.arguments), "exact")
    table.add_row("kept for the backward pass", _gb(plan.activations), "residuals")
    for r in plan.residuals[:5]:
        table.add_row(f"  {r.dtype}{list(r.shape)}", _gb(r.nbytes), "of all devices")
    table.add_row("gradients, float32", _gb(plan.gradients), "shape")
    if plan.working:
        table.add_row("one recomputed layer", _gb(plan.working), "estimate")
    if plan.gathered:
        table.add_row("state gathered for a step", _gb(plan.gathered), "estimate")
    table.add_row("peak", _gb(plan.peak_estimate), "estimate")
    peak = plan.peak_estimate
    if real is not None:
        peak = real.peak
        table.add_row(f"peak on {options.target}", _gb(peak), f"libtpu {real.version}")
    fits = "fits" if peak <= chip.memory else "does not fit"
    table.add_row(f"memory of a {chip.name}", _gb(chip.memory), fits)
    console.print(table)
    if undivided:
        console.print(_WHOLE, highlight=False, soft_wrap=True)
    times = step_times(plan, chip, layout.mesh.shape)
    text = "the partitioner's module" if plan.exact_text else "the final text"
    work = _table("one step on each device", "what", "amount", "least time")
    work.add_row(
        "operations of products", f"{plan.flops:.4g}", _seconds(times["compute"])
    )
    work.add_row(
        "memory read and written",
        _gb(2 * (plan.arguments + plan.activations)),
        _seconds(times["memory"]),
    )
    for (kind, axes), sent in sorted(wire.by_axis(plan.sent).items()):
        work.add_row(f"{kind} over {'+'.join(axes)}", _gb(sent), "")
    work.add_row("sent, all kinds", "", _seconds(times["wire"]))
    console.print(work)
    low, high = times["low"], times["high"]
    console.print(
        f"a step takes {_seconds(low)} (everything overlaps) to {_seconds(high)} "
        f"(nothing does), at the best.\n"
        f"Assumed: {chip.flops / 1e12:.0f} TFLOP/s bfloat16, "
        f"{chip.bandwidth / 1e9:.0f} GB/s of memory, {chip.near_link / 1e9:.0f} GB/s a "
        f"device along an axis"
        + (
            ""
            if chip.near == 0
            else f" inside {chip.near} devices, {chip.far_link / 1e9:.0f} beyond"
        )
        + f" ({chip.source}); arguments and residuals read and written once; counts "
        f"from {text}.\nGradients of one pass by hand: "
        f"{model.hand_flops(options.batch) / layout.mesh.size:.4g} operations a "
        "device.",
        highlight=False,
        soft_wrap=True,
    )
    return {
        **dataclasses.asdict(options),
        "arguments": plan.arguments,
        "argument_size_in_bytes": plan.argument_check,
        "parameters": plan.parameters,
        "optimizer": plan.optimizer,
        "residuals": plan.activations,
        "working": plan.working,
        "gathered": plan.gathered,
        "peak_estimate": plan.peak_estimate,
        "target_memory": None if real is None else real._asdict(),
        "flops": plan.flops,
        "sent": {
            f"{kind} {'+'.join(axes)}": value
            for (kind, axes), value in wire.by_axis(plan.sent).items()
        },
        "times": times,
    }


def step_times(plan: estimate.Plan, chip: Chip, mesh: Any) -> dict[str, float]:
    """Least seconds of a step's parts, and the range of the whole.

    Args:
      plan: the plan.
      chip: the device.
      mesh: sizes of the mesh axes by name, outermost first.

    Returns:
      ``compute``, ``memory``, ``wire``; ``low``, their maximum; ``high``, their sum.
    """
    names = list(mesh)
    on_wire = 0.0
    for one in plan.sent:
        axes = [a for a in names if a in one.axes] or names
        outermost = min(names.index(a) for a in axes)
        inner = math.prod(mesh[a] for a in names[outermost + 1 :])
        on_wire += one.ring_bytes / chip.link(inner, mesh[names[outermost]])
    parts = {
        "compute": plan.flops / chip.flops,
        "memory": 2 * (plan.arguments + plan.activations) / chip.bandwidth,
        "wire": on_wire,
    }
    return {**parts, "low": max(parts.values()), "high": sum(parts.values())}
