# What the room exports; __init__.py reads it and loads each name on first use.
from .activation.alpha_dropout import alpha_dropout
from .activation.modules import AlphaDropout, Selu
from .activation.selu import selu
from .block.modules import ScaledResidual, TransformerBlock
from .block.norm_placement import norm_placement
from .block.residual_scale import residual_scale, scaled_residual
from .block.transformer_block import transformer_block
from .geometry.modules import PoincareBatchNorm, SPDBatchNorm
from .geometry.poincare_batch_norm import poincare_batch_norm
from .geometry.spd_batch_norm import spd_batch_norm
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
from .norm.layernorm_scaling import layer_norm_scale, layernorm_scaling
from .norm.modules import (
    GhostBatchNorm,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    LayerNormScaling,
    RegionNorm,
    TimeDependentLayerNorm,
)
from .norm.plain_norms import group_norm, instance_norm, layer_norm
from .norm.region_norm import region_norm
from .norm.td_layernorm import td_layernorm, time_dependent

__all__ = [
    "AlphaDropout",
    "GhostBatchNorm",
    "GroupNorm",
    "InstanceNorm",
    "LayerNorm",
    "LayerNormScaling",
    "LinenLayer",
    "MesaAttention",
    "MesaDense",
    "MesaGelu",
    "MesaLayerNorm",
    "MesaSoftmax",
    "NnxLayer",
    "PoincareBatchNorm",
    "RegionNorm",
    "SPDBatchNorm",
    "ScaledResidual",
    "Selu",
    "TimeDependentLayerNorm",
    "TransformerBlock",
    "WtaCrsDense",
    "alpha_dropout",
    "ghost_batch_norm",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "layer_norm_scale",
    "layernorm_scaling",
    "lecun_normal_untruncated",
    "mesa_attention",
    "mesa_dense",
    "mesa_gelu",
    "mesa_layer_norm",
    "mesa_softmax",
    "norm_placement",
    "poincare_batch_norm",
    "region_norm",
    "residual_scale",
    "scaled_residual",
    "selu",
    "spd_batch_norm",
    "td_layernorm",
    "time_dependent",
    "transformer_block",
    "wta_crs_dense",
]
