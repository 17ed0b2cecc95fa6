"""Mixtures of examples and of their labels: mixup's weights, labels and shares."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.known_values import known_values, out_of_range
from jaxopt_lab.core.labels import is_class
from jaxopt_lab.core.typing import Scalar


def symmetric_beta(u: jax.Array, v: jax.Array, alpha: Scalar) -> jax.Array:
    r"""A number with the distribution :math:`\mathrm{Beta}(\alpha, \alpha)`.

    With U and V uniform in [0, 1), a Student t variate of :math:`2 \alpha` degrees of
    freedom, over the root of them, and the number are

    .. math::
        T = \sqrt{U^{-1/\alpha} - 1} \, \cos 2 \pi V, \quad
        \tfrac12 + \tfrac12 \, T / \sqrt{1 + T^2},

    without rejection, a program of ten operations instead of the two loops of
    ``jax.random.beta``.

    Args:
      u: U, float32: the same key gives the same mixture for batches of every type.
      v: V, float32.
      alpha: above 0.

    Returns:
      float32 in [0, 1].

    >>> float(symmetric_beta(jnp.float32(0.5), jnp.float32(0.0), 1.0)) > 0.85
    True

    Source: Bailey, "Polar Generation of Random Variates with the t-Distribution",
    Mathematics of Computation 62 (1994).
    """
    square = jnp.expm1(-jnp.log(u) / jnp.asarray(alpha, jnp.float32))
    cosine = jnp.cos(jnp.float32(2 * jnp.pi) * v)
    # 1 / T^2 is infinite for T = 0, and 0 where the square overflows.
    length = 1 / jnp.sqrt(1 + 1 / (square * cosine**2))
    return (1 + jnp.sign(cosine) * length) / 2


def probabilities(
    labels: jax.Array, classes: int, count: int, dtype: DTypeLike
) -> jax.Array:
    """Labels as probabilities of the classes.

    Args:
      labels: integers ``(count,)``; or floats ``(count, classes)``, as they are.
      classes: number of classes.
      count: number of examples.
      dtype: floating type of the result for integers.

    Returns:
      Shape ``(count, classes)``.

    Raises:
      InputError: the labels have another type or shape; where the values are known,
        one is no class. Traced, such a label is NaN.

    >>> probabilities(jnp.array([1]), 2, 1, jnp.float32).tolist()
    [[0.0, 1.0]]
    """
    labels = jnp.asarray(labels)
    if jnp.issubdtype(labels.dtype, jnp.integer) and labels.shape == (count,):
        return _of_labels(labels, classes).astype(dtype)
    if trees.is_floating(labels) and labels.shape == (count, classes):
        return labels
    raise InputError(
        f"labels to mix must be integers of shape {(count,)} or floats of shape "
        f"{(count, classes)}; got {labels.dtype} of shape {labels.shape}"
    )


def _of_labels(labels: jax.Array, classes: int) -> jax.Array:
    """1 at the label, NaN for one that is no class, or an error where it is known."""
    values = known_values(labels)
    if values is not None and (wrong := out_of_range(values, classes)).size:
        raise InputError(
            f"labels to mix must be classes from 0 to {classes - 1}; got {wrong[0]}"
        )
    hit = is_class(labels, classes)
    known = jnp.any(hit, axis=1, keepdims=True)
    return jnp.where(known, hit.astype(jnp.float32), jnp.nan)


def blend(x: jax.Array, weight: jax.Array, order: jax.Array) -> jax.Array:
    r"""Every example mixed with another one of its batch.

    .. math:: \lambda x_i + (1 - \lambda) x_{\pi(i)}

    Args:
      x: ``(B, ...)``, floating.
      weight: :math:`\lambda`, a number.
      order: :math:`\pi`, integers ``(B,)``.

    Returns:
      Like ``x``; computed in float32 at least.

    >>> blend(jnp.array([0.0, 1.0]), jnp.float32(0.75), jnp.array([1, 0])).tolist()
    [0.25, 0.75]
    """
    own = x.astype(trees.accumulation_dtype(x.dtype))
    part = weight.astype(own.dtype)
    return (part * own + (1 - part) * own[order]).astype(x.dtype)


def share(labels: jax.Array) -> jax.Array:
    r"""The share of the largest class in mixed labels: mixup's weight of an example.

    It is :math:`\max(\lambda, 1 - \lambda)`, and 1 where both examples are of one
    class: such a mixture is of its own class alone.

    Args:
      labels: probabilities, ``(..., C)``.

    Returns:
      Shape ``(...)``.

    >>> share(jnp.array([[0.25, 0.75], [1.0, 0.0]])).tolist()
    [0.75, 1.0]
    """
    return jnp.max(labels, axis=-1)
