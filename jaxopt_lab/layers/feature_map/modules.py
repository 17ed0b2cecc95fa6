"""The layers on random features as flax nnx modules; importing this loads flax."""

from __future__ import annotations

from jaxopt_lab.layers.feature_map.kernel_adapter import kernel_adapter
from jaxopt_lab.layers.feature_map.kernel_feed_forward import kernel_feed_forward
from jaxopt_lab.layers.nnx_module import BatchedLayer


class KernelFeedForward(BatchedLayer):
    """Trained matrix on constant random features, as an nnx module.

    >>> from flax import nnx
    >>> KernelFeedForward(4, out=3, num_features=5, rngs=nnx.Rngs(0)).weights.shape
    (3, 5)
    """

    make = staticmethod(kernel_feed_forward)


class KernelAdapter(BatchedLayer):
    """Residual adapter on random features, as an nnx module.

    >>> from flax import nnx
    >>> KernelAdapter(4, size=2, rngs=nnx.Rngs(0)).up.shape
    (2, 4)
    """

    make = staticmethod(kernel_adapter)
