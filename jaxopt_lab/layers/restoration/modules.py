"""The layers of restoration as flax nnx modules; importing this loads flax."""

from __future__ import annotations

from jaxopt_lab.layers.nnx_module import BatchedLayer
from jaxopt_lab.layers.restoration.learned_wiener import learned_wiener


class LearnedWiener(BatchedLayer):
    """Wiener deconvolution with learned noise ratios, as an nnx module.

    >>> from flax import nnx
    >>> LearnedWiener(3, rngs=nnx.Rngs(0)).log_factor.shape
    (3,)
    """

    make = staticmethod(learned_wiener)
