"""Kolmogorov-Arnold layers as flax nnx modules; importing this loads flax."""

from __future__ import annotations

from jaxopt_lab.layers.kan.selectable_kan import selectable_kan
from jaxopt_lab.layers.kan.selectable_kan_conv import selectable_kan_conv
from jaxopt_lab.layers.nnx_module import BatchedLayer


class SelectableKAN(BatchedLayer):
    """S-KAN as an nnx module.

    >>> from flax import nnx
    >>> options = {"spaces": ("spline",), "kernel_init": nnx.initializers.zeros_init()}
    >>> SelectableKAN(2, out=3, **options, rngs=nnx.Rngs(0)).spline.shape
    (3, 2, 9)
    """

    make = staticmethod(selectable_kan)


class SelectableKANConv(BatchedLayer):
    """S-ConvKAN as an nnx module.

    >>> from flax import nnx
    >>> options = {"spaces": ("plain",), "kernel_init": nnx.initializers.zeros_init()}
    >>> SelectableKANConv(2, **options, rngs=nnx.Rngs(0)).plain.shape
    (2, 18, 1)
    """

    make = staticmethod(selectable_kan_conv)
