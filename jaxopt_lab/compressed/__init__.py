"""Optimizers whose state is smaller than the parameters."""

from jaxopt_lab.compressed.adamw4bit import adamw4bit
from jaxopt_lab.compressed.adamw8bit import adamw8bit
from jaxopt_lab.compressed.adamw_fp8 import adamw_fp8
from jaxopt_lab.compressed.adamw_linear import adamw_linear
from jaxopt_lab.compressed.engine import QuantizeStateState
from jaxopt_lab.compressed.quantize_state import quantize_state
from jaxopt_lab.compressed.selection import moments

__all__ = [
    "QuantizeStateState",
    "adamw4bit",
    "adamw8bit",
    "adamw_fp8",
    "adamw_linear",
    "moments",
    "quantize_state",
]
