"""Operators on grids as flax nnx modules; importing this loads flax."""

from __future__ import annotations

from jaxopt_lab.layers.nnx_module import BatchedLayer
from jaxopt_lab.layers.operator.mgno import mgno
from jaxopt_lab.layers.operator.multigrid import multigrid_conv


class MgConv(BatchedLayer):
    """A multigrid cycle with learned operators, as an nnx module.

    >>> from flax import nnx
    >>> make = lambda: MgConv(2, levels=1, rngs=nnx.Rngs(0))
    >>> nnx.eval_shape(make).smooth_0.shape
    (2, 3, 3, 2, 2)
    """

    make = staticmethod(multigrid_conv)


class MgNO(BatchedLayer):
    """Neural operator of multigrid cycles, as an nnx module.

    >>> from flax import nnx
    >>> sizes = {"width": 3, "depth": 1, "levels": 1}
    >>> kernels = nnx.initializers.zeros_init()
    >>> MgNO(2, **sizes, kernel_init=kernels, rngs=nnx.Rngs(0)).point_0.shape
    (2, 3)
    """

    make = staticmethod(mgno)
