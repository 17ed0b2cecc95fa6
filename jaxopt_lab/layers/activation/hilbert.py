"""Activation whose infinitely wide and deep network is a singular kernel classifier."""

from __future__ import annotations

import math
from typing import Annotated, Any

import jax

from jaxopt_lab.core.functional import Functional, stateless_layer
from jaxopt_lab.core.hermite import hermite_basis, hilbert_weights
from jaxopt_lab.core.options import COUNT, check_arguments
from jaxopt_lab.core.typing import Params
from jaxopt_lab.layers.masks import wide_input, without_padding


def hilbert_activation(
    features: Annotated[int, COUNT], *, dimension: Annotated[int, COUNT] = 2
) -> Functional:
    r"""Polynomial of the input, by the dimension of the data.

    .. math:: \phi(x) = 2^{-d/4} h_1 + \sqrt{1 - 2^{1 - d/2}}\, h_2 + 2^{-d/4} h_3

    of orthonormal Hermite polynomials, for d = 1 :math:`(h_1 + h_7) / \sqrt 2`. It
    has mean square 1 under the standard normal law. For data on a sphere of dimension
    d, with inner products of at least 0, the classifier of the infinitely wide network
    tends with its depth to a vote with weights :math:`|x - x'|^{-d}`, consistent for
    any law of the data: see ``jaxopt_lab.diagnostics.koenigs_function``.

    Args:
      features: size of the last axis.
      dimension: d.

    Returns:
      ``init(key=None) -> ({}, {})`` and ``apply(params, state, x, *, train, key=None,
      axis_name=None, mask=None) -> (y, state)`` for ``x`` of ``(..., features)``.
      ``mask``, of the leading axes of ``x``, is 0 for padding, which gives 0. Training
      and evaluation are the same.

    Raises:
      InputError: an argument is out of range; at the call, ``x`` does not fit.

    Polynomials are evaluated in float32 for narrower types. They grow with the cube,
    or the seventh power: keep inputs of variance about 1.

    Source: Radhakrishnan, Belkin and Uhler, "Wide and Deep Neural Networks Achieve
    Optimality for Classification", 2022 (https://arxiv.org/abs/2204.14126); the
    activations follow from its theorem by our derivation.

    >>> import jax.numpy as jnp
    >>> act = hilbert_activation(2)
    >>> y, _ = act.apply({}, {}, jnp.array([[1.0, -2.0]]), train=True)
    >>> [round(float(v), 4) for v in y.ravel()]
    [0.1298, -1.9916]
    """
    check_arguments(hilbert_activation, locals())
    weights = hilbert_weights(dimension)

    def init(key: jax.Array | None = None) -> tuple[Any, Any]:
        return {}, {}

    def apply(params: Params, x: jax.Array, mask: jax.Array | None) -> jax.Array:
        z, valid = wide_input("hilbert_activation", x, features, mask)
        basis = hermite_basis(z, degree=len(weights) - 1)
        parts = [math.sqrt(w) * h for w, h in zip(weights, basis, strict=True) if w]
        y = sum(parts[1:], parts[0]).astype(x.dtype)
        return without_padding(y, valid)

    return stateless_layer(init, apply)


def third_degree(params: Any, x: jax.Array) -> jax.Array:
    r"""The activation of dimension 2, :math:`(h_1 + h_3) / \sqrt 2`.

    Args:
      params: none.
      x: any shape.

    Returns:
      As ``x``.

    >>> import jax.numpy as jnp
    >>> round(float(third_degree({}, jnp.array(1.0))), 4)
    0.1298
    """
    return (x + (x**3 - 3 * x) / math.sqrt(6)) / math.sqrt(2)
