"""A kernel of any number of axes as a matrix of outputs and inputs, and back."""

from __future__ import annotations

import jax


def to_matrix(kernel: jax.Array) -> jax.Array:
    """The kernel as ``(outputs, inputs)``: its last axis is the outputs, as in Flax.

    >>> import jax.numpy as jnp
    >>> to_matrix(jnp.ones((3, 3, 2, 4))).shape
    (4, 18)
    """
    return kernel.reshape(-1, kernel.shape[-1]).T


def from_matrix(matrix: jax.Array, kernel: jax.Array) -> jax.Array:
    """A matrix in the shape and type of the kernel that it was made of."""
    return matrix.T.reshape(kernel.shape).astype(kernel.dtype)
