"""Mean and covariance of the signals in a noisy network."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core import trees


class Moments(NamedTuple):
    """First and second moments of one example's signals.

    Attributes:
      mean: ``(features,)``, float32 or float64.
      covariance: ``(features, features)``.
    """

    mean: jax.Array
    covariance: jax.Array

    @property
    def variance(self) -> jax.Array:
        """The diagonal, ``(features,)``."""
        return jnp.diagonal(self.covariance)


def exact(x: jax.Array) -> Moments:
    """The moments of an input without noise, flattened.

    Args:
      x: an array of any shape.

    Returns:
      Its values as the mean, and a covariance of zeros.

    >>> exact(jnp.ones((2, 3))).covariance.shape
    (6, 6)
    """
    mean = x.reshape(-1).astype(trees.accumulation_dtype(x.dtype))
    return Moments(mean, jnp.zeros((mean.size, mean.size), mean.dtype))


def linear_map(moments: Moments, matrix: jax.Array) -> Moments:
    r"""Moments after a matrix without noise: :math:`A \mu`, :math:`A \Gamma A^\top`.

    Average pooling, reshaping and selection are such matrices.

    Args:
      moments: before.
      matrix: A, ``(outputs, features)``.

    Returns:
      The moments after it.

    >>> linear_map(exact(jnp.array([1.0, 3.0])), jnp.full((1, 2), 0.5)).mean.tolist()
    [2.0]
    """
    matrix = matrix.astype(moments.mean.dtype)
    return Moments(matrix @ moments.mean, matrix @ moments.covariance @ matrix.T)


def with_diagonal(matrix: jax.Array, diagonal: jax.Array) -> jax.Array:
    """A square matrix with another diagonal."""
    eye = jnp.eye(len(diagonal), dtype=bool)
    return jnp.where(eye, jnp.diag(diagonal), matrix)


def sum_of(first: Moments, second: Moments) -> Moments:
    """Moments of the sum of two signals, as in a residual block.

    The two are taken for uncorrelated: a branch and what passes by it share the noise
    of earlier layers, which is left out.

    Args:
      first: the moments of one.
      second: of the other.

    Returns:
      The moments of their sum.

    >>> sum_of(exact(jnp.ones(2)), exact(jnp.ones(2))).mean.tolist()
    [2.0, 2.0]
    """
    return Moments(first.mean + second.mean, first.covariance + second.covariance)
