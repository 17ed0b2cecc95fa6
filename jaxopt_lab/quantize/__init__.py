"""Quantizing trained parameters: grids, rounding, calibration, whole models."""

from jaxopt_lab.core.qarray import QArray
from jaxopt_lab.quantize.gptq_grid import GPTQGrid
from jaxopt_lab.quantize.grid import Grid
from jaxopt_lab.quantize.input_grams import gram_function
from jaxopt_lab.quantize.linear_grid import LinearGrid
from jaxopt_lab.quantize.params import QuantizedParams, Rule, quantize_params
from jaxopt_lab.quantize.report import QuantizerReport, calibration_error
from jaxopt_lab.quantize.round_to_nearest import named_grid, round_to_nearest

__all__ = [
    "GPTQGrid",
    "Grid",
    "LinearGrid",
    "QArray",
    "QuantizedParams",
    "QuantizerReport",
    "Rule",
    "calibration_error",
    "gram_function",
    "named_grid",
    "quantize_params",
    "round_to_nearest",
]
