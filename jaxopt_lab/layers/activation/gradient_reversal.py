"""Identity whose gradient changes its sign, for adversaries in one backward pass."""

from __future__ import annotations

import functools
from typing import Annotated, Any

import jax
import jax.numpy as jnp

from jaxopt_lab.core.functional import Functional, stateless_layer
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.options import COUNT, NON_NEGATIVE, check_arguments
from jaxopt_lab.core.typing import Params, Scalar
from jaxopt_lab.layers.masks import over_features, without_padding
from jaxopt_lab.layers.norm.running import padded


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _by_number(x: jax.Array, weight: float) -> jax.Array:
    del weight
    return x


@_by_number.defjvp
def _number_rule(weight: float, primals: Any, tangents: Any) -> Any:
    return _by_number(*primals, weight), -weight * tangents[0]


@jax.custom_jvp
def _by_array(x: jax.Array, weight: jax.Array) -> jax.Array:
    del weight
    return x


@_by_array.defjvp
def _array_rule(primals: Any, tangents: Any) -> Any:
    return _by_array(*primals), -primals[1] * tangents[0]


def reversed_gradient(x: jax.Array, weight: Scalar = 1.0) -> jax.Array:
    r"""``x``, whose derivative is :math:`-\lambda` times the identity.

    Args:
      x: any floating array.
      weight: :math:`\lambda`, a number or a traced scalar, itself without a gradient;
        0 stops the gradient.

    Returns:
      ``x``. In forward and reverse mode; nothing but a traced weight is kept for the
      gradient.

    >>> jax.grad(lambda x: reversed_gradient(x, 0.5) ** 2)(3.0).item()
    -3.0
    """
    x = jnp.asarray(x)
    number = known_number(weight)
    if number is not None:
        return _by_number(x, number)
    return _by_array(x, jnp.asarray(weight).astype(x.dtype))


def gradient_reversal(
    features: Annotated[int, COUNT], *, weight: Annotated[float, NON_NEGATIVE] = 1.0
) -> Functional:
    r"""Identity with a reversed gradient, between features and an adversary.

    The adversary behind it descends its loss, all that stands before it ascends
    :math:`\lambda` times that loss, in one step of one optimizer.

    Args:
      features: size of the last axis.
      weight: :math:`\lambda`; 0 stops the gradient.

    Returns:
      ``init(key=None) -> ({}, {})`` and ``apply(params, state, x, *, train, key=None,
      axis_name=None, mask=None) -> (x, state)``. ``mask``, of the leading axes of
      ``x``, is 0 for padding, which gives 0. Nothing is kept for the gradient.

    Raises:
      InputError: an argument is out of range; at the call, ``x`` has another number of
        features or no floating type.

    Source: Ganin and Lempitsky, "Unsupervised Domain Adaptation by Backpropagation",
    2015 (https://arxiv.org/abs/1409.7495).

    >>> layer = gradient_reversal(2, weight=3.0)
    >>> f = lambda x: jnp.sum(layer.apply({}, {}, x, train=True)[0])
    >>> jax.grad(f)(jnp.ones((1, 2))).tolist()
    [[-3.0, -3.0]]
    """
    check_arguments(gradient_reversal, locals())

    def init(key: jax.Array | None = None) -> tuple[Any, Any]:
        return {}, {}

    def apply(params: Params, x: jax.Array, mask: jax.Array | None) -> jax.Array:
        valid = over_features("gradient_reversal", x, features, mask)
        y = reversed_gradient(without_padding(x, valid), weight)
        return padded(y, valid, x.dtype)

    return stateless_layer(init, apply)
