"""The activations as flax nnx modules; importing this loads flax."""

from __future__ import annotations

from jaxopt_lab.layers.activation.alpha_dropout import alpha_dropout
from jaxopt_lab.layers.activation.gradient_reversal import gradient_reversal
from jaxopt_lab.layers.activation.hilbert import hilbert_activation
from jaxopt_lab.layers.activation.nested_dropout import nested_dropout
from jaxopt_lab.layers.activation.selu import selu
from jaxopt_lab.layers.nnx_module import BatchedLayer


class Selu(BatchedLayer):
    """Scaled exponential linear unit, as an nnx module without variables.

    >>> from flax import nnx
    >>> Selu(4, rngs=nnx.Rngs(0)).names
    ((), ())
    """

    make = staticmethod(selu)


class AlphaDropout(BatchedLayer):
    """Dropout that keeps mean and variance behind SELU, as an nnx module.

    >>> from flax import nnx
    >>> AlphaDropout(4, rate=0.05, rngs=nnx.Rngs(0)).names
    ((), ())
    """

    make = staticmethod(alpha_dropout)


class NestedDropout(BatchedLayer):
    """The first k features of a batch, k random, as an nnx module.

    Args:
      axis_name: not used; devices with one key have one k.

    >>> from flax import nnx
    >>> NestedDropout(4, keep=2, rngs=nnx.Rngs(0)).names
    ((), ())
    """

    make = staticmethod(nested_dropout)


class HilbertActivation(BatchedLayer):
    """Polynomial activation of singular kernels, as an nnx module.

    >>> from flax import nnx
    >>> HilbertActivation(4, dimension=3, rngs=nnx.Rngs(0)).names
    ((), ())
    """

    make = staticmethod(hilbert_activation)


class GradientReversal(BatchedLayer):
    """Identity with a reversed gradient, as an nnx module without parameters.

    >>> from flax import nnx
    >>> GradientReversal(4, weight=0.5, rngs=nnx.Rngs(0)).names
    ((), ())
    """

    make = staticmethod(gradient_reversal)
