"""Scaled exponential linear unit, jax's, as a layer."""

from __future__ import annotations

from typing import Annotated, Any

import jax

from jaxopt_lab.core.functional import Functional, stateless_layer
from jaxopt_lab.core.options import COUNT, check_arguments
from jaxopt_lab.core.typing import Params
from jaxopt_lab.layers.masks import over_features, without_padding

SCALE = 1.0507009873554804934193349852946
ALPHA = 1.6732632423543772848170429916717


def selu(features: Annotated[int, COUNT]) -> Functional:
    r"""Scaled exponential linear unit: ``jax.nn.selu`` with the contract of a layer.

    .. math:: y = \lambda x \text{ for } x > 0, \quad
        y = \lambda \alpha (e^x - 1) \text{ for } x \le 0,

    with the :math:`\lambda` and :math:`\alpha` for which a standard normal input has
    an output of mean 0 and variance 1. This fixed point attracts: behind dense layers
    whose weights have mean 0 and variance one over the inputs, mean and variance return
    to it from layer to layer, without a normalization. To be used with inputs that are
    standardized, ``lecun_normal_untruncated`` and, for dropout, ``alpha_dropout``.

    Args:
      features: size of the last axis.

    Returns:
      ``init(key=None) -> ({}, {})`` and ``apply(params, state, x, *, train, key=None,
      axis_name=None, mask=None) -> (y, state)``. ``x`` is ``(..., features)`` of any
      floating type, ``y`` has its shape and type. ``mask``, of the leading axes of
      ``x``, is 0 for padding, which gives 0. No parameters, no state, training and
      evaluation are the same. Kept for the gradient: :math:`e^x` and two bytes an
      element, and zeros that ``jit`` folds away. At 0 the derivative is the left one,
      :math:`\lambda \alpha`.

    Raises:
      InputError: ``features`` is out of range; at the call, ``x`` has another number
        of features or no floating type.

    Source: Klambauer et al., "Self-Normalizing Neural Networks", 2017
    (https://arxiv.org/abs/1706.02515).

    >>> import jax.numpy as jnp
    >>> act = selu(2)
    >>> y, _ = act.apply({}, {}, jnp.array([[1.0, -50.0]]), train=True)
    >>> [round(float(unit), 4) for unit in y[0]]
    [1.0507, -1.7581]
    """
    check_arguments(selu, locals())

    def init(key: jax.Array | None = None) -> tuple[Any, Any]:
        return {}, {}

    def apply(params: Params, x: jax.Array, mask: jax.Array | None) -> jax.Array:
        valid = over_features("selu", x, features, mask)
        return jax.nn.selu(without_padding(x, valid))  # 0 gives 0

    return stateless_layer(init, apply)
