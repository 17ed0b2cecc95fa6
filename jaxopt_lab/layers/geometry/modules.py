"""Layers on manifolds as flax nnx modules; importing this loads flax."""

from __future__ import annotations

from jaxopt_lab.layers.geometry.poincare_batch_norm import poincare_batch_norm
from jaxopt_lab.layers.geometry.poincare_conv import poincare_conv
from jaxopt_lab.layers.geometry.spd_batch_norm import spd_batch_norm
from jaxopt_lab.layers.nnx_module import BatchedLayer


class SPDBatchNorm(BatchedLayer):
    """Batch normalization of positive definite matrices, as an nnx module.

    >>> from flax import nnx
    >>> SPDBatchNorm(3, rngs=nnx.Rngs(0)).G.shape
    (3, 3)
    """

    make = staticmethod(spd_batch_norm)


class PoincareBatchNorm(BatchedLayer):
    """Batch normalization in the Poincare ball, as an nnx module.

    >>> from flax import nnx
    >>> PoincareBatchNorm(3, rngs=nnx.Rngs(0)).running_mean.shape
    (3,)
    """

    make = staticmethod(poincare_batch_norm)


class PoincareConv(BatchedLayer):
    """Convolution in the Poincare ball, as an nnx module.

    >>> from flax import nnx
    >>> PoincareConv(3, out=2, rngs=nnx.Rngs(0)).kernel.shape
    (3, 3, 3, 2)
    """

    make = staticmethod(poincare_conv)
