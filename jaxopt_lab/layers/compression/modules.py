"""The layers with few weights as flax nnx modules; importing this loads flax."""

from __future__ import annotations

from jaxopt_lab.layers.compression.codebook_bottleneck import codebook_bottleneck
from jaxopt_lab.layers.nnx_module import BatchedLayer


class CodebookBottleneck(BatchedLayer):
    """Codebook behind layer normalization, as an nnx module.

    Args:
      features: size of the last axis.
      rngs: the module's random streams.
      axis_name: not used; every layer has it.
      **options: those of ``codebook_bottleneck``.

    >>> from flax import nnx
    >>> CodebookBottleneck(4, size=3, rngs=nnx.Rngs(0)).codes.shape
    (3, 4)
    """

    make = staticmethod(codebook_bottleneck)
