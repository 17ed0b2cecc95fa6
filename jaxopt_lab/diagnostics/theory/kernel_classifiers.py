"""Classifiers by kernels, and the classifiers that deep kernels become."""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import NON_NEGATIVE, check_arguments
from jaxopt_lab.core.trees import safe_divide


def lift_to_sphere(x: jax.Array, radius: jax.Array | float | None = None) -> jax.Array:
    r"""Points of a space on the sphere of one more dimension.

    .. math:: x \mapsto \frac{(1, x / R)}{|(1, x / R)|}

    Args:
      x: ``(n, d)``.
      radius: R, at least the largest norm for inner products of at least 0; ``None``:
        the largest norm of ``x``.

    Returns:
      ``(n, d + 1)``, rows of norm 1.

    Raises:
      InputError: ``x`` is no matrix of floating numbers.

    >>> lift_to_sphere(jnp.array([[0.0], [0.0]])).tolist()
    [[1.0, 0.0], [1.0, 0.0]]
    """
    if x.ndim != 2 or not jnp.issubdtype(x.dtype, jnp.floating):
        raise InputError(
            f"x must be (n, d) of floating numbers; got {x.shape} of {x.dtype}"
        )
    if radius is None:
        radius = jnp.sqrt(jnp.max(jnp.sum(x * x, axis=1)))
    scaled = safe_divide(x, jnp.full_like(x, radius))
    lifted = jnp.concatenate([jnp.ones_like(x[:, :1]), scaled], axis=1)
    return lifted / jnp.sqrt(jnp.sum(lifted * lifted, axis=1, keepdims=True))


def kernel_classifier(
    train: jax.Array,
    test: jax.Array,
    labels: jax.Array,
    *,
    ridge: Annotated[float, NON_NEGATIVE] = 0.0,
) -> jax.Array:
    r"""Predictions of kernel regression on labels.

    .. math:: K_{\text{test}} (K + \lambda I)^{-1} y

    Args:
      train: K, ``(n, n)``.
      test: kernel of test points with those of training, ``(m, n)``.
      labels: y, ``(n,)`` of signs or ``(n, classes)``.
      ridge: :math:`\lambda`.

    Returns:
      ``(m,)`` or ``(m, classes)``: the class is the sign, or the largest.

    Raises:
      InputError: ``ridge`` is negative, or shapes do not fit.

    >>> k = jnp.array([[2.0, 0.0], [0.0, 1.0]])
    >>> kernel_classifier(k, k, jnp.array([1.0, -1.0])).tolist()
    [1.0, -1.0]
    """
    check_arguments(kernel_classifier, {"ridge": ridge})
    n = labels.shape[0]
    if train.shape != (n, n) or test.shape[1:] != (n,):
        raise InputError(
            f"kernels must be ({n}, {n}) and (m, {n}) for {n} labels; got "
            f"{train.shape} and {test.shape}"
        )
    ridged = train + jnp.asarray(ridge, train.dtype) * jnp.eye(n, dtype=train.dtype)
    return test @ jnp.linalg.solve(ridged, labels)


def nadaraya_watson(weights: jax.Array, labels: jax.Array) -> jax.Array:
    r"""The weighted mean of the labels.

    .. math:: \frac{\sum_i w_i y_i}{\sum_i w_i}

    Args:
      weights: ``(m, n)``, at least 0; 0 where all are 0.
      labels: ``(n,)`` or ``(n, classes)``.

    Returns:
      ``(m,)`` or ``(m, classes)``.

    >>> nadaraya_watson(jnp.array([[3.0, 1.0]]), jnp.array([1.0, -1.0])).tolist()
    [0.5]
    """
    total = jnp.sum(weights, axis=1).reshape((-1,) + (1,) * (labels.ndim - 1))
    voted = weights @ labels
    return safe_divide(voted, jnp.broadcast_to(total, voted.shape))
