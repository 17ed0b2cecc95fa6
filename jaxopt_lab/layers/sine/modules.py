"""Sine networks as flax nnx modules; importing this loads flax."""

from __future__ import annotations

from jaxopt_lab.layers.nnx_module import BatchedLayer
from jaxopt_lab.layers.sine.siren import siren


class Siren(BatchedLayer):
    """Perceptron of sines on coordinates, as an nnx module.

    >>> from flax import nnx
    >>> sizes = {"hidden": 4, "depth": 2, "out": 3}
    >>> kernels = nnx.initializers.zeros_init()
    >>> Siren(2, **sizes, kernel_init=kernels, rngs=nnx.Rngs(0)).kernel_2.shape
    (4, 3)
    """

    make = staticmethod(siren)
