"""Layers that keep less for the backward pass than autodiff would."""

from jaxopt_lab.layers.memory_saving.mesa_attention import mesa_attention
from jaxopt_lab.layers.memory_saving.mesa_dense import mesa_dense
from jaxopt_lab.layers.memory_saving.mesa_gelu import mesa_gelu
from jaxopt_lab.layers.memory_saving.mesa_layer_norm import mesa_layer_norm
from jaxopt_lab.layers.memory_saving.mesa_softmax import mesa_softmax
from jaxopt_lab.layers.memory_saving.residual_codes import Compression
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
