"""Labels against classes, whatever the integer type of the labels."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError


def _wide(labels: jax.Array) -> jax.Array:
    """In a type that holds every class: as uint8, class 256 would be class 0."""
    labels = jnp.asarray(labels)
    return labels.astype(jnp.int32) if labels.dtype.itemsize < 4 else labels


def is_class(labels: jax.Array, classes: int) -> jax.Array:
    """The class that each label names, as one boolean a class.

    Args:
      labels: integers ``(...)``.
      classes: number of classes, C.

    Returns:
      Booleans ``(..., C)``; all False for a label that is no class.

    >>> is_class(jnp.array([1, -1], jnp.int8), 2).tolist()
    [[False, True], [False, False]]
    """
    labels = _wide(labels)
    every = jnp.arange(classes, dtype=labels.dtype)
    return labels[..., None] == every.reshape((1,) * labels.ndim + (classes,))


def is_largest(outputs: jax.Array, labels: jax.Array) -> jax.Array:
    """Whether the largest output is that of the label; of equal ones the first counts.

    Args:
      outputs: ``(..., C)``.
      labels: integers ``(...)``.

    Returns:
      Booleans ``(...)``.

    Raises:
      InputError: the shapes do not fit.

    >>> is_largest(jnp.eye(2), jnp.array([0, 0], jnp.uint8)).tolist()
    [True, False]
    """
    if jnp.shape(outputs)[:-1] != jnp.shape(labels):
        raise InputError(
            f"outputs of shape {jnp.shape(outputs)} do not fit labels of shape "
            f"{jnp.shape(labels)}; outputs need one more axis, the classes"
        )
    labels = _wide(labels)
    return jnp.argmax(outputs, axis=-1).astype(labels.dtype) == labels
