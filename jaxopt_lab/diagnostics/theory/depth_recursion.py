r"""Variance and covariance of the pre-activations through a wide network's depth.

A fully connected network with weights of variance ``c_w / fan_in`` and biases of
variance ``c_b`` has, as its width grows, Gaussian pre-activations that are independent
between units. Their covariance over the inputs, the kernel K, obeys

.. math::
    K_1 = C_b + C_W \frac{x x^T}{n_0}, \qquad
    K_{l+1} = C_b + C_W\, E\big[\phi(z)\phi(z)^T\big],\quad z \sim N(0, K_l).

At the critical weight variance neither the size of a signal nor a difference between
two signals grows or dies out exponentially: ``relu`` 2, ``tanh`` and ``linear`` 1, all
with :math:`C_b = 0`. There ``relu`` and ``linear`` keep K constant, and under ``tanh``
it decays like :math:`1/(2l)`.

Finite width n: over random weights, :math:`\frac1n\sum_i z_i^2` scatters around K with
a variance of order l/n, and its mean is off by order l/n too, except for ``relu`` and
``linear``, where the mean is exact at every width. ``finite_width`` gives both to first
order.

References: Poole et al., "Exponential expressivity in deep neural networks through
transient chaos", arXiv:1606.05340; Cho and Saul, "Kernel methods for deep learning",
NeurIPS 2009 (the relu kernel); Roberts, Yaida and Hanin, "The Principles of Deep
Learning Theory", arXiv:2106.10165 (criticality and the corrections in 1/n).
"""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxopt_lab.core.checks import check_non_negative, check_positive_count
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.trees import safe_divide, safe_sqrt
from jaxopt_lab.core.typing import Scalar
from jaxopt_lab.diagnostics.theory.activations import Activation, moments_of
from jaxopt_lab.diagnostics.theory.gaussian_expectations import wide


class Susceptibilities(NamedTuple):
    """Growth of small changes from one layer to the next; 1 is critical.

    Attributes:
      parallel: of a change of the variance, :math:`dK_{l+1}/dK_l`.
      perpendicular: of the squared distance of two nearby inputs of equal size,
        :math:`C_W E[\\phi'(z)^2]`; also of gradients on their way back.
    """

    parallel: Array
    perpendicular: Array


class FiniteWidth(NamedTuple):
    """First order in 1/width of a layer's mean square over one network's units.

    Attributes:
      mean: over networks, shape ``(depth, ...)``.
      variance: over networks, the same shape.
    """

    mean: Array
    variance: Array


def input_kernel(inputs: ArrayLike, *, c_w: Scalar, c_b: Scalar = 0.0) -> Array:
    """Kernel of the first layer.

    Args:
      inputs: shape ``(m, n)``, one input a row.
      c_w: weight variance times the fan-in, at least 0.
      c_b: bias variance, at least 0.

    Returns:
      Shape ``(m, m)``, float32 or better.

    Raises:
      InputError: ``inputs`` is no matrix, or a variance is negative.

    >>> float(input_kernel(jnp.ones((1, 5)), c_w=2.0, c_b=0.5)[0, 0])
    2.5
    """
    _check(c_w, c_b)
    x = wide(inputs)
    if x.ndim != 2:
        raise InputError(f"inputs must have shape (m, n); got {x.shape}")
    gram = jnp.matmul(x, x.T, precision=jax.lax.Precision.HIGHEST)
    return c_b + c_w * gram / x.shape[1]


def variances_through_depth(
    first: ArrayLike,
    activation: Activation,
    depth: int,
    *,
    c_w: Scalar,
    c_b: Scalar = 0.0,
) -> Array:
    r"""Variance of the pre-activations in every layer, :math:`K_1, \dots, K_L`.

    Args:
      first: :math:`K_1`, any shape, at least 0.
      activation: ``"linear"``, ``"relu"``, ``"tanh"`` or a smooth function; see
        ``activations``.
      depth: number of layers L, at least 1.
      c_w: weight variance times the fan-in, at least 0.
      c_b: bias variance, at least 0.

    Returns:
      Shape ``(depth, *first.shape)``; its first entry is ``first``. Differentiable in
      ``first``, ``c_w`` and ``c_b``, also at zero.

    Raises:
      InputError: unknown activation, negative variance, or ``depth`` below 1.

    >>> variances_through_depth(1.0, "relu", 3, c_w=4.0).tolist()
    [1.0, 2.0, 4.0]
    """
    _check(c_w, c_b)
    moments = moments_of(activation)
    return _iterate(lambda k: c_b + c_w * moments.square(k), wide(first), depth)


def kernels_through_depth(
    first: ArrayLike,
    activation: Activation,
    depth: int,
    *,
    c_w: Scalar,
    c_b: Scalar = 0.0,
) -> Array:
    """Covariance of the pre-activations over several inputs, in every layer.

    Args:
      first: :math:`K_1`, shape ``(m, m)``, symmetric and positive semi-definite; see
        ``input_kernel``.
      activation: as for ``variances_through_depth``.
      depth: number of layers, at least 1.
      c_w: weight variance times the fan-in, at least 0.
      c_b: bias variance, at least 0.

    Returns:
      Shape ``(depth, m, m)``; its first entry is ``first``. Differentiable, also
      where two inputs are equal. Memory, except for ``relu`` and ``linear``: 16384
      numbers for each of the ``m * m`` entries.

    Raises:
      InputError: ``first`` is no square matrix, unknown activation, negative
        variance, or ``depth`` below 1.

    >>> K = jnp.array([[1.0, 0.0], [0.0, 1.0]])
    >>> last = kernels_through_depth(K, "relu", 2, c_w=2.0)[-1]
    >>> round(float(last[0, 1]), 4)  # 1 / pi
    0.3183
    """
    _check(c_w, c_b)
    kernel, moments = wide(first), moments_of(activation)
    if kernel.ndim != 2 or kernel.shape[0] != kernel.shape[1]:
        raise InputError(f"first must have shape (m, m); got {kernel.shape}")

    def step(k: Array) -> Array:
        rows = jnp.broadcast_to(jnp.diagonal(k)[:, None], k.shape)
        return c_b + c_w * moments.product(rows, rows.T, k)

    return _iterate(step, kernel, depth)


def correlations(kernel: ArrayLike) -> Array:
    """Correlations of a covariance matrix.

    Args:
      kernel: shape ``(..., m, m)``.

    Returns:
      The same shape, ones on the diagonal; 0 where a variance is 0.

    >>> float(correlations(jnp.array([[4.0, 1.0], [1.0, 1.0]]))[0, 1])
    0.5
    """
    k = wide(kernel)
    scale = safe_sqrt(jnp.diagonal(k, axis1=-2, axis2=-1))
    return safe_divide(k, scale[..., :, None] * scale[..., None, :])


def susceptibilities(
    variance: ArrayLike, activation: Activation, *, c_w: Scalar
) -> Susceptibilities:
    """Growth of sizes and differences of signals in a layer.

    Args:
      variance: K of the layer, any shape, at least 0.
      activation: as for ``variances_through_depth``.
      c_w: weight variance times the fan-in, at least 0.

    Returns:
      Two arrays of the shape of ``variance``.

    Raises:
      InputError: unknown activation or negative variance.

    >>> [float(x) for x in susceptibilities(0.0, "tanh", c_w=1.5)]
    [1.5, 1.5]
    """
    _check(c_w, 0.0)
    k, moments = wide(variance), moments_of(activation)
    # For an elementwise function a tangent of ones gives the derivative of every entry.
    parallel = jax.jvp(moments.square, (k,), (jnp.ones_like(k),))[1]
    product = lambda kab: moments.product(k, k, kab)
    perpendicular = jax.jvp(product, (k,), (jnp.ones_like(k),))[1]
    return Susceptibilities(c_w * parallel, c_w * perpendicular)


def finite_width(
    first: ArrayLike,
    activation: Activation,
    depth: int,
    *,
    width: int,
    c_w: Scalar,
    c_b: Scalar = 0.0,
) -> FiniteWidth:
    r"""Mean and scatter over networks of :math:`\frac1n \sum_i z_i^2`, to order 1/n.

    Given a layer's activations, the next pre-activations are Gaussian of a variance Q
    that differs between networks. With :math:`v(K) = E\phi^2` and
    :math:`f(K) = E\phi^4`,

    .. math::
        \mathrm{Var}\,Q_{l+1} &= \tfrac{C_W^2}{n}\,(f - v^2)(K_l)
        + (C_W v'(K_l))^2\, \mathrm{Var}\,Q_l, \\
        E\,Q_{l+1} - K_{l+1} &= C_W v'(K_l)\,(E\,Q_l - K_l)
        + \tfrac12 C_W v''(K_l)\, \mathrm{Var}\,Q_l,

    and the mean square over n units has the mean of Q and the variance
    :math:`2 K_l^2/n + \mathrm{Var}\,Q_l`. The error is of order
    :math:`(l/n)^2`.

    Args:
      first: :math:`K_1`, any shape, at least 0.
      activation: as for ``variances_through_depth``.
      depth: number of layers, at least 1.
      width: n, units in every layer, at least 1.
      c_w: weight variance times the fan-in, at least 0.
      c_b: bias variance, at least 0.

    Returns:
      Mean and variance, shapes ``(depth, *first.shape)``.

    Raises:
      InputError: unknown activation, negative variance, or a whole number below 1.

    >>> two = finite_width(1.0, "linear", 2, width=100, c_w=1.0)
    >>> [round(float(x), 4) for x in two.variance]
    [0.02, 0.04]
    """
    _check(c_w, c_b)
    check_positive_count("width", width)
    moments = moments_of(activation)

    def slope(f: Any, k: Array) -> Array:
        return jax.jvp(f, (k,), (jnp.ones_like(k),))[1]

    def step(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        k, shift, spread = carry
        square = moments.square(k)
        growth = c_w * slope(moments.square, k)
        bend = c_w * slope(lambda q: slope(moments.square, q), k)
        drawn = c_w**2 * (moments.fourth(k) - square**2) / width
        return (
            c_b + c_w * square,
            growth * shift + bend * spread / 2,
            drawn + growth**2 * spread,
        )

    k = wide(first)
    kernel, shift, spread = _iterate(
        step, (k, jnp.zeros_like(k), jnp.zeros_like(k)), depth
    )
    return FiniteWidth(kernel + shift, 2 * kernel**2 / width + spread)


def _iterate(step: Any, first: Any, depth: int) -> Any:
    check_positive_count("depth", depth)
    _, layers = jax.lax.scan(lambda x, _: (step(x), x), first, length=depth)
    return layers


def _check(c_w: Scalar, c_b: Scalar) -> None:
    check_non_negative("c_w", c_w)
    check_non_negative("c_b", c_b)
