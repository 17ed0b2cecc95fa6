"""Predictors of gradients as flax nnx modules; importing this loads flax."""

from __future__ import annotations

from jaxopt_lab.layers.nnx_module import BatchedLayer
from jaxopt_lab.layers.prediction.synthetic_gradient import synthetic_gradient


class SyntheticGradient(BatchedLayer):
    """Predictor of the gradient with respect to its input, as an nnx module.

    >>> from flax import nnx
    >>> module = SyntheticGradient(4, hidden=3, rngs=nnx.Rngs(0))
    >>> module.hidden_kernel.shape
    (4, 3)
    """

    make = staticmethod(synthetic_gradient)
