"""Optimizers whose state is smaller than the parameters."""

from jaxopt_lab.compressed.adamw4bit import adamw4bit
from jaxopt_lab.compressed.adamw8bit import adamw8bit
from jaxopt_lab.compressed.adamw_fp8 import adamw_fp8
from jaxopt_lab.compressed.adamw_linear import adamw_linear
from jaxopt_lab.compressed.engine import QuantizeStateState
from jaxopt_lab.compressed.ldadam import ldadam, scale_by_ldadam
from jaxopt_lab.compressed.ldadam_state import ScaleByLDAdamState
from jaxopt_lab.compressed.microadam import microadam, scale_by_microadam
from jaxopt_lab.compressed.microadam_state import ScaleByMicroAdamState
from jaxopt_lab.compressed.quantize_state import quantize_state
from jaxopt_lab.compressed.selection import moments

__all__ = [
    "QuantizeStateState",
    "ScaleByLDAdamState",
    "ScaleByMicroAdamState",
    "adamw4bit",
    "adamw8bit",
    "adamw_fp8",
    "adamw_linear",
    "ldadam",
    "microadam",
    "moments",
    "quantize_state",
    "scale_by_ldadam",
    "scale_by_microadam",
]
