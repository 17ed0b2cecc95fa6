"""Networks on noisy analogue hardware: predicted error and power."""

from jaxopt_lab.diagnostics.hardware.activations import relu_moments, softplus_moments
from jaxopt_lab.diagnostics.hardware.crossbar import Crossbar, crossbar
from jaxopt_lab.diagnostics.hardware.crossbar_conv import (
    ConvCrossbar,
    crossbar_conv,
)
from jaxopt_lab.diagnostics.hardware.gmax import GmaxResult, optimize_gmax
from jaxopt_lab.diagnostics.hardware.max_pooling import max_pool_moments
from jaxopt_lab.diagnostics.hardware.memse import NoisyOutputs, memse
from jaxopt_lab.diagnostics.hardware.moments import (
    Moments,
    exact,
    linear_map,
    sum_of,
)
from jaxopt_lab.diagnostics.hardware.weight_noise import (
    NoisyScore,
    evaluate_under_weight_noise,
)

__all__ = [
    "ConvCrossbar",
    "Crossbar",
    "GmaxResult",
    "Moments",
    "NoisyOutputs",
    "NoisyScore",
    "crossbar",
    "crossbar_conv",
    "evaluate_under_weight_noise",
    "exact",
    "linear_map",
    "max_pool_moments",
    "memse",
    "optimize_gmax",
    "relu_moments",
    "softplus_moments",
    "sum_of",
]
