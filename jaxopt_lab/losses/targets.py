"""Targets of losses: their shapes, and which of them count."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.known_values import known_values, out_of_range
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.where import counted, or_zero


def check_labels(
    logits: jax.Array, labels: jax.Array, where: jax.Array | None = None
) -> None:
    """Refuse logits, integer labels and masks that do not belong together.

    Args:
      logits: shape ``(..., C)``.
      labels: shape ``(...)``.
      where: shape ``(...)``, or None.

    Raises:
      InputError: a shape does not fit, the logits are not real floating, or the labels
        are not integers.
    """
    if logits.ndim != labels.ndim + 1 or logits.shape[:-1] != labels.shape:
        raise InputError(
            f"logits of shape {logits.shape} do not fit labels of shape "
            f"{labels.shape}; logits need one more axis, the classes"
        )
    if not jnp.issubdtype(logits.dtype, jnp.floating):
        raise InputError(f"logits must be real floating; got {logits.dtype}")
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
    return or_zero(outputs, where)


def check_shape(name: str, x: jax.Array, shape: tuple[int, ...]) -> None:
    """Refuse an array of another shape, or of complex numbers.

    Args:
      name: of the argument.
      x: the array.
      shape: the accepted one.

    Raises:
      InputError: the array has another shape, or is complex.
    """
    check_real(name, x)
    if jnp.shape(x) != shape:
        raise InputError(f"{name} must have shape {shape}; got {jnp.shape(x)}")


def check_real(name: str, x: jax.Array) -> None:
    """Refuse complex numbers, whose imaginary parts a cast would drop.

    Args:
      name: of the argument.
      x: the array.

    Raises:
      InputError: the array is complex.

    >>> check_real("weights", jnp.ones(2))
    """
    if jnp.iscomplexobj(x):
        raise InputError(f"{name} must be real; got {jnp.result_type(x)}")


def check_floats(name: str, x: jax.Array, ndim: int) -> None:
    """Refuse what is no array of real floating numbers with some axes.

    Args:
      name: of the argument.
      x: the array.
      ndim: the number of its axes.

    Raises:
      InputError: it is another array.
    """
    if jnp.ndim(x) != ndim or not jnp.issubdtype(jnp.result_type(x), jnp.floating):
        raise InputError(
            f"{name} must be real floating numbers with {ndim} axes; got "
            f"{jnp.result_type(x)} of shape {jnp.shape(x)}"
        )


def refuse_out_of_range(
    labels: Any, classes: int, where: Any = None, *, of: str = "outputs of the model"
) -> None:
    """Name labels out of range where their values are known; in a program they give
    NaN.

    Args:
      labels: integers; others pass.
      classes: number of classes.
      where: like the labels; those where it is 0 are not looked at.
      of: meaning of the classes, for the message.

    Raises:
      InputError: a label is out of range.
    """
    values, counts = (
        known_values(labels),
        None if where is None else known_values(where),
    )
    if values is None or values.dtype.kind not in "iu" or not values.size:
        return
    if where is not None and counts is None:
        return
    bad = out_of_range(values, classes, counts)
    if bad.size:
        raise InputError(
            f"label {bad[0]} is out of range ({bad.size} of {values.size} labels); "
            f"accepted: 0 to {classes - 1}, for the {classes} {of}"
        )


def check_probabilities(name: str, p: jax.Array, where: Any = None) -> None:
    """Refuse what is no distribution over the last axis, where the values are known.

    Args:
      name: of the argument.
      p: shape ``(..., C)``.
      where: shape ``(...)``; those where it is 0 are not looked at.

    Raises:
      InputError: a number is negative, or a sum is not 1 (to 1e-3, to 2e-2 of types
        narrower than float32).
    """
    values, counts = known_values(p), None if where is None else known_values(where)
    if values is None or (where is not None and counts is None):
        return
    slack = 1e-3 if values.dtype.itemsize >= 4 else 2e-2
    values = values.astype(np.float64)
    sums = np.sum(values, axis=-1)
    # NaN passes: it shows in the loss.
    bad = (np.abs(sums - 1) > slack) | np.any(values < -slack, axis=-1)
    if counts is not None:
        bad = bad & (
            counts.reshape(counts.shape + (1,) * (bad.ndim - counts.ndim)) != 0
        )
    if np.any(bad):
        raise InputError(
            f"{name} must be probabilities, at least 0 and with the sum 1 over the "
            f"last axis; got one with the sum {sums[bad].flat[0]:.6g}"
        )


def valid(where: jax.Array | None, count: int, like: jax.Array) -> jax.Array:
    """Ones for the examples that count and zeros for the others.

    Args:
      where: ``(count,)``, nonzero where an example counts; None: all of them.
      count: number of examples.
      like: array whose accumulation type the numbers get.

    Returns:
      Shape ``(count,)``.

    Raises:
      InputError: ``where`` has another shape.

    >>> valid(jnp.array([2, 0]), 2, jnp.zeros(1)).tolist()
    [1.0, 0.0]
    """
    dtype = accumulation_dtype(like.dtype)
    if where is None:
        return jnp.ones((count,), dtype)
    check_shape("where", where, (count,))
    return counted(where).astype(dtype)


def mean_where(values: jax.Array, weights: jax.Array) -> jax.Array:
    """The mean of the values that count; 0 where there is none.

    Args:
      values: any shape; finite where the weight is 0.
      weights: of the same shape, at least 0.

    Returns:
      A number.

    >>> float(mean_where(jnp.array([1.0, 5.0]), jnp.array([1.0, 0.0])))
    1.0
    """
    total = jnp.sum(weights)
    return jnp.sum(values * weights) / jnp.where(total > 0, total, 1)


def no_loss(outputs: jax.Array, targets: jax.Array | None = None) -> jax.Array:
    """The number 0, of the accumulation type: the neutral element of a penalty.

    Args:
      outputs: any floating array.
      targets: not used.

    Returns:
      A number.

    >>> float(no_loss(jnp.ones(3)))
    0.0
    """
    return jnp.zeros((), accumulation_dtype(outputs.dtype))
