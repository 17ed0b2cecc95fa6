"""Gaussian moments of activation functions, and the initialiser critical for them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax import Array

from jaxopt_lab.core import errors
from jaxopt_lab.core.trees import safe_divide, safe_sqrt
from jaxopt_lab.diagnostics.theory.gaussian_expectations import (
    Pointwise,
    gaussian_mean,
    gaussian_pair_mean,
)

Activation: TypeAlias = str | Pointwise
"""A name (``"linear"``, ``"relu"``, ``"tanh"``) or a smooth elementwise function."""


class Moments(NamedTuple):
    """Gaussian moments of an activation, for the recursion through depth.

    Attributes:
      function: the activation.
      square: variance -> ``E phi(z)**2``, elementwise.
      fourth: variance -> ``E phi(z)**4``, elementwise.
      product: (variance, variance, covariance) -> ``E phi(z_a) phi(z_b)``,
        elementwise.
    """

    function: Pointwise
    square: Callable[[Array], Array]
    fourth: Callable[[Array], Array]
    product: Callable[[Array, Array, Array], Array]


def moments_of(activation: Activation) -> Moments:
    """Moments in closed form (``linear``, ``relu``) or by quadrature (the others).

    Args:
      activation: a name, or a function that acts elementwise and is twice
        differentiable: quadrature would be inaccurate across a kink, and its
        derivatives wrong. ``jax.nn.relu`` itself is taken as ``"relu"``.

    Returns:
      The moments, differentiable in all arguments, also at zero variance and at
      correlation 1. Error of the quadrature: see ``gaussian_expectations``.

    Raises:
      InputError: the name is unknown.

    >>> float(moments_of("relu").square(jnp.array(3.0)))
    1.5
    """
    if isinstance(activation, str):
        if activation not in _MOMENTS:
            raise errors.unknown("activation", activation, _MOMENTS)
        return _MOMENTS[activation]
    if activation is jax.nn.relu:
        return _MOMENTS["relu"]
    return _by_quadrature(activation)


def critical_weight_variance(activation: str) -> float:
    """Weight variance times the fan-in at which signals neither grow nor decay.

    Args:
      activation: ``"linear"``, ``"relu"`` or ``"tanh"``. Biases are zero at
        criticality (``c_b = 0``).

    Returns:
      1, 2 and 1: the ``c_w`` at which both ``susceptibilities`` are 1, for all
      variances (``linear``, ``relu``) or as the variance goes to 0 (``tanh``).

    Raises:
      InputError: the name is unknown.

    >>> critical_weight_variance("relu")
    2.0
    """
    if activation not in _CRITICAL:
        raise errors.unknown("activation", activation, _CRITICAL)
    return _CRITICAL[activation]


def critical_init(
    activation: str,
    *,
    in_axis: int | Sequence[int] = -2,
    out_axis: int | Sequence[int] = -1,
    batch_axis: int | Sequence[int] = (),
) -> Callable[..., Any]:
    r"""Initialiser of kernels at criticality, for flax's ``kernel_init``.

    Entries are independent, :math:`N(0, C_W / \text{fan-in})` with the critical
    :math:`C_W` of the activation. Initialise biases with zeros.

    Args:
      activation: ``"linear"``, ``"relu"`` or ``"tanh"``: the one applied to
        the inputs of this layer.
      in_axis: axes of the inputs, as in ``jax.nn.initializers.variance_scaling``.
      out_axis: axes of the outputs.
      batch_axis: axes that are neither, nor a receptive field.

    Returns:
      ``init(key, shape, dtype) -> array``. Off criticality, with weight variance
      ``c_w``, it is ``variance_scaling(c_w, "fan_in", "normal")``.

    Raises:
      InputError: the name is unknown.

    >>> kernel = critical_init("relu")(jax.random.key(0), (400, 300), jnp.float32)
    >>> round(float(400 * jnp.mean(kernel**2)), 1)
    2.0
    """
    return jax.nn.initializers.variance_scaling(
        critical_weight_variance(activation),
        "fan_in",
        "normal",
        in_axis=in_axis,
        out_axis=out_axis,
        batch_axis=batch_axis,
    )


def _by_quadrature(function: Pointwise) -> Moments:
    return Moments(
        function,
        lambda k: gaussian_mean(lambda z: function(z) ** 2, k),
        lambda k: gaussian_mean(lambda z: function(z) ** 4, k),
        lambda kaa, kbb, kab: gaussian_pair_mean(function, function, kaa, kbb, kab),
    )


def _angle(kaa: Array, kbb: Array, kab: Array) -> tuple[Array, Array]:
    root = safe_sqrt(jnp.maximum(kaa * kbb - kab**2, 0))
    return root, math.pi - jnp.arctan2(root, kab)


@jax.custom_jvp
def _relu_product(kaa: Array, kbb: Array, kab: Array) -> Array:
    root, opening = _angle(kaa, kbb, kab)
    return (root + opening * kab) / (2 * math.pi)


@_relu_product.defjvp
def _relu_product_jvp(primals, tangents):
    kaa, kbb, _ = primals
    daa, dbb, dab = tangents
    # The derivative is explicit: root and angle have infinite slopes at correlation 1,
    # which cancel.
    root, opening = _angle(*primals)
    slope_a = safe_divide(root, 2 * kaa)
    slope_b = safe_divide(root, 2 * kbb)
    tangent = (slope_a * daa + slope_b * dbb + opening * dab) / (2 * math.pi)
    return _relu_product(*primals), tangent


_MOMENTS = {
    "linear": Moments(
        lambda z: z, lambda k: k, lambda k: 3 * k**2, lambda kaa, kbb, kab: kab
    ),
    "relu": Moments(
        jax.nn.relu, lambda k: k / 2, lambda k: 3 * k**2 / 2, _relu_product
    ),
    "tanh": _by_quadrature(jnp.tanh),
}
_CRITICAL = {"linear": 1.0, "relu": 2.0, "tanh": 1.0}
