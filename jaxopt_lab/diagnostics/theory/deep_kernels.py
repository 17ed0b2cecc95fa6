"""Tangent kernels of infinitely wide networks, and their limits in depth."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import COUNT, COUNT_OR_ZERO, Interval, check_arguments
from jaxopt_lab.diagnostics.theory.duals import Dual

TWO_OR_MORE = Interval(2.0)


class DeepKernel(NamedTuple):
    """Kernels of an infinitely wide network.

    Attributes:
      covariance: of the last hidden activations.
      tangent: the neural tangent kernel.
    """

    covariance: jax.Array
    tangent: jax.Array


class DepthLimit(NamedTuple):
    """The scaled tangent kernel of a deep network, and its distance from the limit.

    Attributes:
      value: mean of the kernel over the pairs.
      error: distance from that of half the depth, which is about what is left to the
        limit, for the distance falls as one over the depth.
      kernel: the scaled kernel.
      limit: ``koenigs_function``.
    """

    value: jax.Array
    error: jax.Array
    kernel: jax.Array
    limit: jax.Array


def deep_ntk(
    dual: Dual, gram: jax.Array, *, depth: Annotated[int, COUNT_OR_ZERO]
) -> DeepKernel:
    r"""The tangent kernel of an infinitely wide network with unit inputs.

    .. math:: \Sigma_L = D(\Sigma_{L-1}), \qquad
        K_L = \Sigma_L + K_{L-1}\, D'(\Sigma_{L-1}), \qquad \Sigma_0 = K_0 = \xi

    Args:
      dual: of the activation, which has mean square 1.
      gram: :math:`\xi`, inner products of inputs of norm 1, any shape; those of an
        input with itself exactly 1, since layers multiply their distance from 1.
      depth: L, the number of hidden layers.

    Returns:
      The ``DeepKernel``, arrays as ``gram``. At :math:`\xi = 1`, :math:`K_L =
      \sum_{l \le L} b^l` with :math:`b = D'(1)`.

    Raises:
      InputError: ``depth`` is out of range, or ``gram`` is not floating.

    O(L) operations a pair; differentiable. For hundreds of layers of an activation
    with D(0) = 0 the kernels leave the range of the type: see ``depth_limit``.

    Source: Radhakrishnan, Belkin and Uhler, "Wide and Deep Neural Networks Achieve
    Optimality for Classification", 2022 (https://arxiv.org/abs/2204.14126).

    >>> from jaxopt_lab.diagnostics import dual_activation
    >>> found = deep_ntk(dual_activation([0.0, 1.0]), jnp.array(0.5), depth=3)
    >>> float(found.tangent)
    2.0
    """
    check_arguments(deep_ntk, {"depth": depth})
    _check(gram)

    def layer(kernels: DeepKernel, _: None) -> tuple[DeepKernel, None]:
        before, tangent = kernels
        after = dual.value(before)
        return DeepKernel(after, after + tangent * dual.slope(before)), None

    return jax.lax.scan(layer, DeepKernel(gram, gram), None, length=depth)[0]


def koenigs_function(
    dual: Dual, xi: jax.Array, *, iterations: Annotated[int, COUNT] = 60
) -> jax.Array:
    r"""The singular kernel that the tangent kernel becomes with its depth.

    .. math:: g(\xi) = \lim_L D^{\circ L}(\xi) / a^L, \qquad
        g(D(\xi)) = a\, g(\xi), \quad g'(0) = 1, \quad a = D'(0)

    Near 1 it is :math:`(1 - \xi)^{\log a / \log b}` up to a factor that moves little.

    Args:
      dual: a polynomial with D(0) = 0 and 0 < a < 1.
      xi: inner products, above -1 and below 1.
      iterations: compositions; :math:`\log_b 1 / (1 - \xi)` and some tens are enough.

    Returns:
      As ``xi``; it grows with the iterations at 1, whose value is infinite.

    Raises:
      InputError: an argument is out of range, or the dual has no such limit.

    >>> from jaxopt_lab.diagnostics import hilbert_dual
    >>> round(float(koenigs_function(hilbert_dual(2), jnp.array(0.5))), 3)
    0.714
    """
    check_arguments(koenigs_function, {"iterations": iterations})
    return _scaled(dual, xi, iterations)[0]


def depth_limit(
    dual: Dual, gram: jax.Array, *, depth: Annotated[int, TWO_OR_MORE] = 200
) -> DepthLimit:
    r"""The tangent kernel of a deep network, scaled, with its distance from the limit.

    .. math:: \frac{K_L(\xi)}{a^L (L + 1)} \to g(\xi)

    Args:
      dual: a polynomial with D(0) = 0 and a = D'(0) in (0, 1].
      gram: inner products of different inputs of norm 1, any shape.
      depth: L.

    Returns:
      The ``DepthLimit``. Each layer divides by a, so that nothing underflows.

    Raises:
      InputError: an argument is out of range, or the dual has no such limit.

    Source: Radhakrishnan, Belkin and Uhler, "Wide and Deep Neural Networks Achieve
    Optimality for Classification", 2022 (https://arxiv.org/abs/2204.14126).

    >>> from jaxopt_lab.diagnostics import dual_activation
    >>> found = depth_limit(dual_activation([0.0, 1.0]), jnp.array([0.25, 0.75]))
    >>> float(found.value), float(found.error)
    (0.5, 0.0)
    """
    check_arguments(depth_limit, {"depth": depth})
    half = depth // 2
    _, early = _scaled(dual, gram, half)
    limit, late = _scaled(dual, gram, depth)
    kernel = late / (depth + 1)
    value = jnp.mean(kernel)
    error = jnp.abs(value - jnp.mean(early) / (half + 1))
    return DepthLimit(value, error, kernel, limit)


def _scaled(dual: Dual, xi: jax.Array, depth: int) -> tuple[jax.Array, jax.Array]:
    """Covariance and tangent kernel over the power of the slope at 0."""
    _check(xi)
    weights = dual.weights
    if weights is None or len(weights) < 2 or not 0 < weights[1] <= 1:
        raise InputError(
            "the dual must be a polynomial with a slope at 0 in (0, 1]; got another"
        )
    a = weights[1]

    def layer(
        carry: tuple[jax.Array, jax.Array, jax.Array], _: None
    ) -> tuple[tuple[jax.Array, jax.Array, jax.Array], None]:
        before, covariance, tangent = carry
        ratio = dual.quotient(before)
        covariance = covariance * (ratio / a)
        tangent = covariance + tangent * (dual.slope(before) / a)
        return (before * ratio, covariance, tangent), None

    return jax.lax.scan(layer, (xi, xi, xi), None, length=depth)[0][1:]


def _check(gram: jax.Array) -> None:
    if not jnp.issubdtype(gram.dtype, jnp.floating):
        raise InputError(f"inner products must be real floating; got {gram.dtype}")
