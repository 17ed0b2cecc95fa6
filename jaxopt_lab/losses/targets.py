"""Targets of losses: their shapes, and which of them count."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError


def check_labels(
    logits: jax.Array, labels: jax.Array, where: jax.Array | None = None
) -> None:
    """Refuse logits, integer labels and masks that do not belong together.

    Args:
      logits: shape ``(..., C)``.
      labels: shape ``(...)``.
      where: shape ``(...)``, or None.

    Raises:
      InputError: a shape does not fit, or the labels are not integers.
    """
    if logits.ndim != labels.ndim + 1 or logits.shape[:-1] != labels.shape:
        raise InputError(
            f"logits of shape {logits.shape} do not fit labels of shape "
            f"{labels.shape}; logits need one more axis, the classes"
        )
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise InputError(f"labels must be integers; got dtype {labels.dtype}")
    if where is not None and where.shape != labels.shape:
        raise InputError(
            f"where must have the shape of the labels, {labels.shape}; got "
            f"{where.shape}"
        )


def kept(outputs: jax.Array, where: jax.Array | None) -> jax.Array:
    """The outputs, zeros in place of those that do not count.

    A dropped output may hold anything, and 0 times NaN is NaN in the gradient: it is
    replaced before anything is computed from it.

    Args:
      outputs: shape ``(..., C)``.
      where: shape ``(...)``, nonzero where an output counts; None: all of them.

    Returns:
      Shape ``(..., C)``.

    >>> kept(jnp.array([[1.0], [jnp.nan]]), jnp.array([1, 0])).ravel().tolist()
    [1.0, 0.0]
    """
    if where is None:
        return outputs
    return jnp.where((where != 0)[..., None], outputs, 0)
