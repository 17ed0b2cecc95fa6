"""The memory-saving layers as flax nnx modules; importing this loads flax."""

from __future__ import annotations

from typing import Any

from flax import nnx

from jaxopt_lab.layers.memory_saving.mesa_attention import mesa_attention
from jaxopt_lab.layers.memory_saving.mesa_dense import mesa_dense
from jaxopt_lab.layers.memory_saving.mesa_gelu import mesa_gelu
from jaxopt_lab.layers.memory_saving.mesa_layer_norm import mesa_layer_norm
from jaxopt_lab.layers.memory_saving.mesa_softmax import mesa_softmax
from jaxopt_lab.layers.memory_saving.wta_crs_dense import wta_crs_dense
from jaxopt_lab.layers.nnx_module import BatchedLayer, NnxLayer


class MesaGelu(BatchedLayer):
    """GELU that keeps codes of its input, as an nnx module.

    >>> sorted(MesaGelu(4, groups=2, rngs=nnx.Rngs(0)).names[1])
    ['low', 'range', 'started']
    """

    make = staticmethod(mesa_gelu)


class MesaSoftmax(BatchedLayer):
    """Softmax that keeps codes of its output, as an nnx module.

    >>> MesaSoftmax(4, groups=2, group_axis=1, rngs=nnx.Rngs(0)).low.shape
    (2,)
    """

    make = staticmethod(mesa_softmax)


class MesaLayerNorm(BatchedLayer):
    """Layer normalization that keeps codes of its input, as an nnx module.

    >>> MesaLayerNorm(4, rngs=nnx.Rngs(0)).scale.shape
    (4,)
    """

    make = staticmethod(mesa_layer_norm)


class MesaAttention(BatchedLayer):
    """Self-attention that keeps codes of queries, keys and values, as an nnx module.

    >>> MesaAttention(12, heads=2, rngs=nnx.Rngs(0)).range.shape
    (6,)
    """

    make = staticmethod(mesa_attention)


class MesaDense(BatchedLayer):
    """Dense layer that keeps codes of its input, as an nnx module.

    >>> MesaDense(4, out=3, rngs=nnx.Rngs(0)).kernel.shape
    (4, 3)
    """

    make = staticmethod(mesa_dense)


class WtaCrsDense(NnxLayer):
    """Dense layer that keeps a few rows of its input, as an nnx module.

    Args:
      features: size of the last axis of the input.
      rngs: the module's random streams.
      **options: those of ``wta_crs_dense``.

    >>> WtaCrsDense(4, out=3, ratio=0.1, rngs=nnx.Rngs(0)).kernel.shape
    (4, 3)
    """

    def __init__(self, features: int, *, rngs: nnx.Rngs, **options: Any) -> None:
        super().__init__(wta_crs_dense(features, **options), rngs=rngs)
