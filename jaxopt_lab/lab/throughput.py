"""Counts of a run beside its steps, and its speed."""

from __future__ import annotations

import math
from typing import Any

import jax

from jaxopt_lab.catalog.schema import Recipe
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab import operations
from jaxopt_lab.lab.configuration import Configuration
from jaxopt_lab.lab.run_options import RunOptions


def counts(configuration: Configuration) -> dict[str, float]:
    """Amounts by which each step raises the counts in the records, of every seed.

    Args:
      configuration: the run.

    Returns:
      ``examples``, and ``gradients``, evaluations for a whole batch (an average, where
      a method evaluates more of them in some steps), of all networks of a recipe.
    """
    rows, part = configuration.rows, configuration.chosen("recipe")
    per_step = rows.method.gradients_per_step(**configuration.method)
    if rows.base is not None:
        own = rows.base.gradients_per_step(**configuration.base)
        per_step = max(per_step, own)
    if part is not None:
        assert isinstance(part.row, Recipe)
        per_step = part.row.gradients_per_step(per_step, **part.options)
    return {"examples": configuration.run.batch_size, "gradients": per_step}


def profiled_steps(run: RunOptions) -> tuple[int, int] | None:
    """The steps that ``profile`` names, the first and the last.

    Args:
      run: the options.

    Returns:
      They; ``None`` without a profile.

    Raises:
      InputError: the text cannot be read, or the run has no such steps.

    >>> profiled_steps(RunOptions(profile="steps:100-110"))
    (100, 110)
    """
    if not run.profile:
        return None
    kind, _, numbers = run.profile.partition(":")
    first, dash, last = numbers.partition("-")
    if kind != "steps" or not (dash and first.isdecimal() and last.isdecimal()):
        raise InputError(
            f"profile={run.profile} cannot be read; accepted: steps:FIRST-LAST"
        )
    if not 1 <= int(first) <= int(last) <= run.steps:
        raise InputError(
            f"profile={run.profile} is out of range; the steps are 1 to {run.steps}"
        )
    return int(first), int(last)


def speed(configuration: Configuration, program: Any, seconds: float) -> dict[str, Any]:
    """Throughput of a run for its summary.

    Args:
      configuration: the run.
      program: its parts.
      seconds: of a step.

    Returns:
      ``examples_per_second`` of all seeds; where the device is known also ``mfu``, the
      operations of all products of a step over those that its data sheet says for
      bfloat16, and ``mfu_of``, the device. ``None`` where they are not known, as of
      batches that grow.
    """
    run = configuration.run
    grows = getattr(program, "control", None) is not None
    if math.isnan(seconds) or seconds <= 0 or grows:
        return {"examples_per_second": None, "mfu": None, "mfu_of": None}
    found = {"examples_per_second": run.seeds * run.batch_size / seconds}
    chip = operations.chip_of(jax.devices()[0].device_kind)
    if chip is None:
        return {**found, "mfu": None, "mfu_of": None}
    at = program.batches.get_state()
    traced = jax.make_jaxpr(program.step)(program.state, program.batches.next())
    program.batches.set_state(at)
    devices = 1 if program.mesh is None else program.mesh.size
    done = operations.products(traced.jaxpr) / seconds
    return {**found, "mfu": done / (devices * chip.flops), "mfu_of": chip.name}


def text_scores(tested: dict[str, Any], unit: str) -> dict[str, Any]:
    """Perplexity and bits beside every loss of a text's test.

    Args:
      tested: results of a test, losses in nats a token.
      unit: a token's name, ``"character"`` or ``"token"``.

    Returns:
      ``perplexity`` and ``bits_per_...`` with the losses' prefixes.

    >>> text_scores({"val_loss": 0.0}, "character")
    {'val_perplexity': 1.0, 'val_bits_per_character': 0.0}
    """
    import numpy as np

    found = {}
    for name, value in tested.items():
        if name == "loss" or name.endswith("_loss"):
            prefix = name.removesuffix("loss")
            found[f"{prefix}perplexity"] = np.exp(value)
            found[f"{prefix}bits_per_{unit}"] = value / math.log(2)
    return {n: x if np.ndim(x) else float(x) for n, x in found.items()}
