"""Layers of attention as flax nnx modules; importing this loads flax."""

from __future__ import annotations

from jaxopt_lab.layers.attention.content_guided_attention import (
    content_guided_attention,
)
from jaxopt_lab.layers.attention.content_guided_fusion import content_guided_fusion
from jaxopt_lab.layers.attention.norm_aware_attention import norm_aware_attention
from jaxopt_lab.layers.attention.two_way_attention import two_way_attention
from jaxopt_lab.layers.nnx_module import BatchedLayer


class ContentGuidedAttention(BatchedLayer):
    """Content-guided attention over images, as an nnx module.

    >>> from flax import nnx
    >>> ContentGuidedAttention(16, rngs=nnx.Rngs(0)).down_kernel.shape
    (16, 2)
    """

    make = staticmethod(content_guided_attention)


class ContentGuidedFusion(BatchedLayer):
    """Fusion of two images of features by attention, as an nnx module.

    >>> from flax import nnx
    >>> ContentGuidedFusion(32, rngs=nnx.Rngs(0)).mix_kernel.shape
    (16, 16)
    """

    make = staticmethod(content_guided_fusion)


class NormAwareLinearAttention(BatchedLayer):
    """Norm-aware linear attention, as an nnx module.

    >>> from flax import nnx
    >>> layer = NormAwareLinearAttention(4, heads=2, rngs=nnx.Rngs(0))
    >>> layer.inner.shape
    (4, 16)
    """

    make = staticmethod(norm_aware_attention)


class TwoWayAttention(BatchedLayer):
    """Queries and a memory that attend to each other, as an nnx module.

    >>> from flax import nnx
    >>> TwoWayAttention(4, heads=2, depth=3, rngs=nnx.Rngs(0)).cross_keys.shape
    (3, 4, 8)
    """

    make = staticmethod(two_way_attention)
