# Written by `python -m support.stubs` in tests/, from the signatures.
from jax.typing import DTypeLike

from jaxopt_lab.core.functional import Functional
from jaxopt_lab.layers.memory_saving.dense import KernelInit
from jaxopt_lab.layers.memory_saving.residual_codes import Compression, Rounding
from jaxopt_lab.layers.memory_saving.wta_crs_dense import wta_crs_dense

__all__ = [
    "Compression",
    "mesa_attention",
    "mesa_dense",
    "mesa_gelu",
    "mesa_layer_norm",
    "mesa_softmax",
    "wta_crs_dense",
]

def mesa_attention(
    features: int,
    *,
    heads: int = 1,
    causal: bool = True,
    bits: int = 8,
    decay: float = 0.9,
    rounding: Rounding = "stochastic",
    state_dtype: DTypeLike = ...,
) -> Functional: ...
def mesa_dense(
    features: int,
    *,
    out: int | None = None,
    use_bias: bool = True,
    kernel_init: KernelInit | None = None,
    param_dtype: DTypeLike = ...,
    groups: int = 1,
    bits: int = 8,
    decay: float = 0.9,
    rounding: Rounding = "stochastic",
    state_dtype: DTypeLike = ...,
) -> Functional: ...
def mesa_gelu(
    features: int,
    *,
    approximate: bool = True,
    groups: int = 1,
    bits: int = 8,
    decay: float = 0.9,
    rounding: Rounding = "stochastic",
    state_dtype: DTypeLike = ...,
) -> Functional: ...
def mesa_layer_norm(
    features: int,
    *,
    eps: float = 1e-06,
    param_dtype: DTypeLike = ...,
    groups: int = 1,
    bits: int = 8,
    decay: float = 0.9,
    rounding: Rounding = "stochastic",
    state_dtype: DTypeLike = ...,
) -> Functional: ...
def mesa_softmax(
    features: int,
    *,
    group_axis: int = -1,
    groups: int = 1,
    bits: int = 8,
    decay: float = 0.9,
    rounding: Rounding = "stochastic",
    state_dtype: DTypeLike = ...,
) -> Functional: ...
