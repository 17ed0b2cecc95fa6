"""A trained run with its matrices quantized."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias, get_args

import jax
import numpy as np

from jaxopt_lab.catalog import of_kind
from jaxopt_lab.core.errors import InputError, unknown
from jaxopt_lab.lab.trained_run import Run
from jaxopt_lab.quantize import QuantizedParams, Rule, quantize_params
from jaxopt_lab.quantize.round_to_nearest import GridName, grid_of_name

Calibration: TypeAlias = Literal["train", "zeroq", "genie"]


def quantize_run(
    run: Run,
    method: str,
    *,
    options: Mapping[str, Any] | None = None,
    codec: GridName | None = None,
    group_size: int = 0,
    match: str = "kernel",
    keep: str = "",
    examples: int = 512,
    in_order: bool = True,
    progress: Callable[[str], Any] | None = None,
    calibration: Calibration = "train",
    calibration_steps: int = 500,
) -> tuple[Run, QuantizedParams]:
    """Quantize the matrices of a trained run after the training.

    Args:
      run: one seed of it.
      method: name of a quantizer of the catalog.
      options: its options by name, ``{"bits": 3}``.
      codec: name of the grid; None: the method's own.
      group_size: weights of an output that share a step; 0: all of them.
      match: regular expression of the paths of the leaves to quantize.
      keep: of those that stay; empty: none.
      examples: training examples to calibrate on; 0: none.
      in_order: as of ``quantize_params``; likewise ``progress``.
      progress: called with the path of every leaf.
      calibration: ``"train"``: training examples; ``"zeroq"``, ``"genie"``: inputs of
        ``data_free_inputs``, made from the statistics of the run's normalizations.
      calibration_steps: of the latter.

    Returns:
      The run with the values on the grids, which evaluates and predicts as before, and
      the report with the codes.

    Raises:
      InputError: no such method, an option that it lacks or out of range, several
        seeds, a pattern that matches nothing, or no calibration data can be made.
    """
    rows = of_kind("quantizer")
    if method not in rows:
        raise unknown("method", method, rows)
    if run.seeds > 1:
        raise InputError(f"the run has {run.seeds} seeds; quantize one: run.seed(0)")
    row = rows[method]
    given = dict(options or {})
    if "codec" in given:
        raise InputError("codec is an argument of its own, not one of options")
    chosen = row.checked({**row.overrides, **given})
    grid = None
    if "codec" in row.options:
        name = codec or chosen["codec"]
        del chosen["codec"]
        grid = grid_of_name(name, chosen["bits"], group_size or None)
    elif codec or group_size:
        asked = f"codec={codec}" if codec else f"group_size={group_size}"
        raise InputError(f"{asked}: method={method} has codewords, no grid of steps")
    quantize = functools.partial(row.load(), **chosen)
    rules = [Rule(match, quantize, grid)]
    if keep:
        rules.insert(0, Rule(keep, None))
    inputs = _inputs(run, examples, calibration, calibration_steps)

    def apply(params: Any, batch: Any) -> jax.Array:
        return run.model.apply(params, run.model_state, batch, train=False)[0]

    params, report = quantize_params(
        apply, run.params, rules, inputs, in_order=in_order, progress=progress
    )
    return run.with_weights(params, run.model_state), report


def _inputs(run: Run, examples: int, calibration: str, steps: int) -> list[jax.Array]:
    if calibration not in get_args(Calibration):
        raise unknown("calibration", calibration, get_args(Calibration))
    if not examples:
        return []
    if calibration == "train":
        return run.calibration_inputs(examples)
    from jaxopt_lab.lab.data_free import data_free_inputs

    made: Any = calibration
    return [data_free_inputs(run, made, examples=examples, steps=steps).inputs]


def codes_by_path(report: QuantizedParams) -> dict[str, np.ndarray]:
    """The codes, scales and zero points of a report, for ``np.savez``.

    Args:
      report: of ``quantize_run``.

    Returns:
      ``{"layer/kernel/qvalue": ...}``; likewise ``scale`` and ``zero_point``.
    """
    arrays = {}
    for path, (coded, _) in report.layers.items():
        for name, value in coded._asdict().items():
            if value is not None:
                arrays[f"{path}/{name}"] = np.asarray(value)
    return arrays
