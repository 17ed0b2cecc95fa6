"""Layers on graphs as flax nnx modules; importing this loads flax."""

from __future__ import annotations

from jaxopt_lab.layers.graph.gat_conv import gat_conv
from jaxopt_lab.layers.graph.gcn_conv import gcn_conv
from jaxopt_lab.layers.graph.hypergraph_conv import hypergraph_conv
from jaxopt_lab.layers.nnx_module import BatchedLayer


class GCNConv(BatchedLayer):
    """Graph convolution, as an nnx module.

    >>> from flax import nnx
    >>> GCNConv(4, units=3, rngs=nnx.Rngs(0)).kernel.shape
    (4, 3)
    """

    make = staticmethod(gcn_conv)


class GATConv(BatchedLayer):
    """Graph attention, as an nnx module.

    >>> from flax import nnx
    >>> GATConv(4, heads=2, rngs=nnx.Rngs(0)).sender.shape
    (2, 2)
    """

    make = staticmethod(gat_conv)


class HypergraphConv(BatchedLayer):
    """Hypergraph convolution, as an nnx module.

    >>> from flax import nnx
    >>> HypergraphConv(4, units=3, rngs=nnx.Rngs(0)).kernel.shape
    (4, 3)
    """

    make = staticmethod(hypergraph_conv)
