"""Weights of examples, of which 0 says that an example does not count."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def counted(where: jax.Array, ndim: int | None = None) -> jax.Array:
    """Whether each example counts.

    Args:
      where: booleans or numbers, nonzero where an example counts. A cast, as booleans
        have no comparison with a number under strict promotion.
      ndim: number of axes of the result, at least those of ``where``; by default the
        same.

    Returns:
      Booleans, with axes of size 1 behind those of ``where``.

    >>> counted(jnp.array([2, 0]), 2).tolist()
    [[True], [False]]
    """
    here = jnp.asarray(where).astype(bool)
    if ndim is None:
        return here
    return here.reshape(here.shape + (1,) * (ndim - here.ndim))


def or_zero(values: jax.Array, where: jax.Array | None) -> jax.Array:
    """The values of examples that count, and 0 in place of the others.

    A dropped example may hold anything, and 0 times NaN is NaN in the gradient: it is
    replaced, not multiplied.

    Args:
      values: any shape.
      where: of the first axes of ``values``; ``None``: all count.

    Returns:
      As ``values``.

    >>> or_zero(jnp.array([[1.0], [jnp.nan]]), jnp.array([True, False])).tolist()
    [[1.0], [0.0]]
    """
    if where is None:
        return values
    return jnp.where(counted(where, values.ndim), values, 0)
