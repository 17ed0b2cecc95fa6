# Written by `python -m support.stubs` in tests/, from the signatures.
import optax

from jaxopt_lab.core.codecs import Float8, Granularity
from jaxopt_lab.core.typing import MaskOrFn, ScalarOrSchedule
from jaxopt_lab.transforms.compressed.adam_mini import (
    Partition,
    ScaleByAdamMiniState,
    scale_by_adam_mini,
)
from jaxopt_lab.transforms.compressed.adamw_quantized import (
    SecondMoment,
    adamw_quantized,
)
from jaxopt_lab.transforms.compressed.apollo import ScaleByApolloState, scale_by_apollo
from jaxopt_lab.transforms.compressed.apollo.kernel import ScaleGranularity
from jaxopt_lab.transforms.compressed.block_top_k import Density
from jaxopt_lab.transforms.compressed.ldadam.kernel import (
    Factorization,
    Projector,
    Start,
)
from jaxopt_lab.transforms.compressed.ldadam.options import Error
from jaxopt_lab.transforms.compressed.ldadam.state import ScaleByLDAdamState
from jaxopt_lab.transforms.compressed.low_rank import Side
from jaxopt_lab.transforms.compressed.microadam.state import ScaleByMicroAdamState
from jaxopt_lab.transforms.compressed.quantize_state import quantize_state
from jaxopt_lab.transforms.compressed.quantized_state import QuantizeStateState
from jaxopt_lab.transforms.compressed.selection import Select, moments
from jaxopt_lab.transforms.compressed.soap import ScaleBySoapState, scale_by_soap

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

def adam_mini(
    learning_rate: ScalarOrSchedule,
    *,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: MaskOrFn | None = None,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule = 1e-08,
    partition: Partition | None = None,
) -> optax.GradientTransformationExtraArgs: ...
def adamw4bit(
    learning_rate: ScalarOrSchedule,
    *,
    block: int = 128,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule = 1e-08,
    weight_decay: ScalarOrSchedule = 0.0001,
    mask: MaskOrFn | None = None,
    min_size: int = 4096,
    select: Select | None = None,
    chunk: int | None = 65536,
    straight_through: bool = False,
    stochastic: bool = False,
    seed: int = 0,
    round_to_zero: bool = False,
) -> optax.GradientTransformationExtraArgs: ...
def adamw8bit(
    learning_rate: ScalarOrSchedule,
    *,
    block: int = 256,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule = 1e-08,
    weight_decay: ScalarOrSchedule = 0.0001,
    mask: MaskOrFn | None = None,
    min_size: int = 4096,
    select: Select | None = None,
    chunk: int | None = 65536,
    straight_through: bool = False,
    stochastic: bool = False,
    seed: int = 0,
    round_to_zero: bool = False,
) -> optax.GradientTransformationExtraArgs: ...
def adamw_fp8(
    learning_rate: ScalarOrSchedule,
    *,
    block: int = 256,
    dtype: Float8 = "float8_e4m3fn",
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule = 1e-08,
    weight_decay: ScalarOrSchedule = 0.0001,
    mask: MaskOrFn | None = None,
    min_size: int = 4096,
    select: Select | None = None,
    chunk: int | None = 65536,
    straight_through: bool = False,
    stochastic: bool = False,
    seed: int = 0,
    round_to_zero: bool = False,
) -> optax.GradientTransformationExtraArgs: ...
def adamw_linear(
    learning_rate: ScalarOrSchedule,
    *,
    block: Granularity = "row",
    bits: int = 8,
    symmetric: bool = True,
    second_moment: SecondMoment = "float32",
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule = 1e-08,
    weight_decay: ScalarOrSchedule = 0.0001,
    mask: MaskOrFn | None = None,
    min_size: int = 4096,
    select: Select | None = None,
    chunk: int | None = 65536,
    straight_through: bool = False,
    stochastic: bool = False,
    seed: int = 0,
    round_to_zero: bool = False,
) -> optax.GradientTransformationExtraArgs: ...
def apollo(
    learning_rate: ScalarOrSchedule,
    *,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: MaskOrFn | None = None,
    rank: int = 16,
    gap: int = 200,
    scale: ScalarOrSchedule = 1.0,
    granularity: ScaleGranularity = "channel",
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule = 1e-08,
    growth: ScalarOrSchedule = 1.01,
    seed: int = 0,
    low_rank: MaskOrFn | None = None,
    stacked: MaskOrFn | None = None,
) -> optax.GradientTransformationExtraArgs: ...
def ldadam(
    learning_rate: ScalarOrSchedule,
    *,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: MaskOrFn | None = None,
    rank: int = 16,
    b1: ScalarOrSchedule = 0.908,
    b2: ScalarOrSchedule = 0.99,
    eps: ScalarOrSchedule = 1e-08,
    rho: ScalarOrSchedule = 0.908,
    error: Error = "float32",
    projector: Projector = "std",
    start: Start = "power",
    side: Side = "smaller",
    factorization: Factorization = "qr",
    low_rank: MaskOrFn | None = None,
    stacked: MaskOrFn | None = None,
    straight_through: bool = False,
    chunk: int | None = 65536,
) -> optax.GradientTransformationExtraArgs: ...
def microadam(
    learning_rate: ScalarOrSchedule,
    *,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: MaskOrFn | None = None,
    window: int = 10,
    density: Density = 0.01,
    block_size: int = 4096,
    quant_block: int = 64,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule = 1e-08,
    densify: ScalarOrSchedule = 0.0,
    window_bias_correction: bool = False,
    straight_through: bool = False,
    chunk: int | None = 65536,
) -> optax.GradientTransformationExtraArgs: ...
def scale_by_ldadam(
    *,
    rank: int = 16,
    b1: ScalarOrSchedule = 0.908,
    b2: ScalarOrSchedule = 0.99,
    eps: ScalarOrSchedule = 1e-08,
    rho: ScalarOrSchedule = 0.908,
    error: Error = "float32",
    projector: Projector = "std",
    start: Start = "power",
    side: Side = "smaller",
    factorization: Factorization = "qr",
    low_rank: MaskOrFn | None = None,
    stacked: MaskOrFn | None = None,
    straight_through: bool = False,
    chunk: int | None = 65536,
) -> optax.GradientTransformationExtraArgs: ...
def scale_by_microadam(
    *,
    window: int = 10,
    density: Density = 0.01,
    block_size: int = 4096,
    quant_block: int = 64,
    b1: ScalarOrSchedule = 0.9,
    b2: ScalarOrSchedule = 0.999,
    eps: ScalarOrSchedule = 1e-08,
    densify: ScalarOrSchedule = 0.0,
    window_bias_correction: bool = False,
    straight_through: bool = False,
    chunk: int | None = 65536,
) -> optax.GradientTransformationExtraArgs: ...
def soap(
    learning_rate: ScalarOrSchedule,
    *,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: MaskOrFn | None = None,
    b1: ScalarOrSchedule = 0.95,
    b2: ScalarOrSchedule = 0.95,
    eps: ScalarOrSchedule = 1e-08,
    factor_decay: ScalarOrSchedule | None = None,
    precondition_frequency: int = 10,
    max_precondition_dim: int = 10000,
    stacked: MaskOrFn | None = None,
) -> optax.GradientTransformationExtraArgs: ...
