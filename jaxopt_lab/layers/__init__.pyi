# What the room exports; __init__.py reads it and loads each name on first use.
from .initializers import lecun_normal_untruncated
from .linen_module import LinenLayer
from .nnx_module import NnxLayer
from .norm.ghost_batch_norm import ghost_batch_norm
from .norm.layernorm_scaling import layernorm_scaling
from .norm.modules import GhostBatchNorm, LayerNormScaling

__all__ = [
    "GhostBatchNorm",
    "LayerNormScaling",
    "LinenLayer",
    "NnxLayer",
    "ghost_batch_norm",
    "layernorm_scaling",
    "lecun_normal_untruncated",
]
