"""The convolutions as flax nnx modules; importing this loads flax."""
# Its examples wait for pytest --full.

from __future__ import annotations

from jaxopt_lab.layers.conv.blind_spot_conv import blind_spot_conv
from jaxopt_lab.layers.conv.detail_enhanced_conv import detail_enhanced_conv
from jaxopt_lab.layers.conv.pyramid_conv import pyramid_conv
from jaxopt_lab.layers.conv.swing_conv import swing_conv
from jaxopt_lab.layers.conv.weight_standardization import ws_conv
from jaxopt_lab.layers.nnx_module import BatchedLayer


class BlindSpotConv(BatchedLayer):
    """Convolution that does not see its own position, as an nnx module.

    >>> from flax import nnx
    >>> BlindSpotConv(3, out=4, rngs=nnx.Rngs(0)).kernel.shape
    (3, 3, 3, 4)
    """

    make = staticmethod(blind_spot_conv)


class PyramidConv(BatchedLayer):
    """Convolution over positions and levels of a pyramid, as an nnx module.

    >>> from flax import nnx
    >>> PyramidConv(3, out=4, rngs=nnx.Rngs(0)).coarser.shape
    (3, 3, 3, 4)
    """

    make = staticmethod(pyramid_conv)


class SwingConv(BatchedLayer):
    """Strided convolution at random offsets, as an nnx module.

    Args:
      rngs: the module's random streams; ``dropout`` draws the offsets in training.

    >>> from flax import nnx
    >>> SwingConv(3, out=4, rngs=nnx.Rngs(0)).kernel.shape
    (3, 3, 3, 4)
    """

    make = staticmethod(swing_conv)


class WsConv(BatchedLayer):
    """Convolution with weight standardization, as an nnx module.

    >>> from flax import nnx
    >>> WsConv(3, out=4, rngs=nnx.Rngs(0)).kernel.shape
    (3, 3, 3, 4)
    """

    make = staticmethod(ws_conv)


class DetailEnhancedConv(BatchedLayer):
    """Detail-enhanced convolution, as an nnx module.

    >>> from flax import nnx
    >>> DetailEnhancedConv(3, out=4, rngs=nnx.Rngs(0)).horizontal.shape
    (3, 3, 4)
    """

    make = staticmethod(detail_enhanced_conv)
