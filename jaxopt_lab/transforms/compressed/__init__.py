"""Optimizers whose state is smaller than the parameters."""

from jaxopt_lab.transforms.compressed.adam_mini import (
    ScaleByAdamMiniState,
    adam_mini,
    scale_by_adam_mini,
)
from jaxopt_lab.transforms.compressed.adamw_quantized import (
    adamw4bit,
    adamw8bit,
    adamw_fp8,
    adamw_linear,
    adamw_quantized,
)
from jaxopt_lab.transforms.compressed.apollo import (
    ScaleByApolloState,
    apollo,
    scale_by_apollo,
)
from jaxopt_lab.transforms.compressed.ldadam import ldadam, scale_by_ldadam
from jaxopt_lab.transforms.compressed.ldadam.state import ScaleByLDAdamState
from jaxopt_lab.transforms.compressed.microadam import microadam, scale_by_microadam
from jaxopt_lab.transforms.compressed.microadam.state import ScaleByMicroAdamState
from jaxopt_lab.transforms.compressed.quantize_state import quantize_state
from jaxopt_lab.transforms.compressed.quantized_state import QuantizeStateState
from jaxopt_lab.transforms.compressed.selection import moments
from jaxopt_lab.transforms.compressed.soap import ScaleBySoapState, scale_by_soap, soap

__all__ = [
    "QuantizeStateState",
    "ScaleByAdamMiniState",
    "ScaleByApolloState",
    "ScaleByLDAdamState",
    "ScaleByMicroAdamState",
    "ScaleBySoapState",
    "adam_mini",
    "adamw4bit",
    "adamw8bit",
    "adamw_fp8",
    "adamw_linear",
    "adamw_quantized",
    "apollo",
    "ldadam",
    "microadam",
    "moments",
    "quantize_state",
    "scale_by_adam_mini",
    "scale_by_apollo",
    "scale_by_ldadam",
    "scale_by_microadam",
    "scale_by_soap",
    "soap",
]
