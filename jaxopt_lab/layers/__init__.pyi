# What the room exports; __init__.py reads it and loads each name on first use.
from .activation.alpha_dropout import alpha_dropout
from .activation.modules import AlphaDropout, Selu
from .activation.selu import selu
from .initializers import lecun_normal_untruncated
from .linen_module import LinenLayer
from .memory_saving import (
    mesa_attention,
    mesa_dense,
    mesa_gelu,
    mesa_layer_norm,
    mesa_softmax,
    wta_crs_dense,
)
from .memory_saving.modules import (
    MesaAttention,
    MesaDense,
    MesaGelu,
    MesaLayerNorm,
    MesaSoftmax,
    WtaCrsDense,
)
from .nnx_module import NnxLayer
from .norm.ghost_batch_norm import ghost_batch_norm
from .norm.layernorm_scaling import layernorm_scaling
from .norm.modules import GhostBatchNorm, LayerNormScaling

__all__ = [
    "AlphaDropout",
    "GhostBatchNorm",
    "LayerNormScaling",
    "LinenLayer",
    "MesaAttention",
    "MesaDense",
    "MesaGelu",
    "MesaLayerNorm",
    "MesaSoftmax",
    "NnxLayer",
    "Selu",
    "WtaCrsDense",
    "alpha_dropout",
    "ghost_batch_norm",
    "layernorm_scaling",
    "lecun_normal_untruncated",
    "mesa_attention",
    "mesa_dense",
    "mesa_gelu",
    "mesa_layer_norm",
    "mesa_softmax",
    "selu",
    "wta_crs_dense",
]
