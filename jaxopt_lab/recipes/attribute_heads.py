"""Linear heads of attributes: orthogonality of their rows, and edits along them."""

from __future__ import annotations

from typing import Annotated, Literal

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import Interval, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.typing import Scalar

Orthogonality = Literal["squared", "signed"]


def orthogonality(w: jax.Array, *, kind: Orthogonality = "squared") -> jax.Array:
    r"""Distance of the rows of a matrix from orthogonal ones.

    With the normalised rows :math:`w'_i`,

    .. math::
        \sum_{i \ne j} (w'_i \cdot w'_j)^2 \ \text{(squared)}, \qquad
        \sum_{i, j} w'_i \cdot w'_j \ \text{(signed)}.

    The signed form is the printed one; its minimum is not at orthogonal rows (of three,
    at angles of 120 degrees), and the squared form is ours.

    Args:
      w: ``(K, D)``.
      kind: of the two.

    Returns:
      A number, float32 or float64; squared, it is 0 exactly at axes. A row of zeros
      adds nothing, with the derivative 0. Cost: a K x K matrix.

    Raises:
      InputError: ``w`` is no matrix, or ``kind`` is unknown.

    Source: Robert, Thome and Cord, "DualDis: Dual-Branch Disentangling with Adversarial
    Learning", arXiv:1906.00804, and the first author's thesis.

    >>> float(orthogonality(jnp.eye(2))), float(orthogonality(jnp.ones((2, 1))))
    (0.0, 2.0)
    """
    check_arguments(orthogonality, {"kind": kind})
    if w.ndim != 2:
        raise InputError(f"w must be a matrix (K, D); got shape {w.shape}")
    rows = _unit(w)
    if kind == "signed":
        return jnp.sum(jnp.sum(rows, axis=0) ** 2)
    products = jnp.matmul(rows, rows.T, precision=jax.lax.Precision.HIGHEST)
    off = ~jnp.eye(len(rows), dtype=bool)
    return jnp.sum(jnp.where(off, products, 0) ** 2)


def edit_attribute(
    features: jax.Array,
    w: jax.Array,
    attribute: int,
    *,
    step: Annotated[Scalar, Interval()],
) -> jax.Array:
    r"""Features moved along the weights of one attribute.

    .. math:: h + s \, w_i / \|w_i\|,

    which adds :math:`s \|w_i\|` to the logit i and :math:`s \, w_i \cdot w_j / \|w_i\|`
    to another one j.

    Args:
      features: h, ``(..., D)``.
      w: rows of the linear head, ``(K, D)``.
      attribute: i.
      step: s; below 0 it takes the attribute away.

    Returns:
      Of the shape and type of ``features``.

    Raises:
      InputError: the head has other features, or no such attribute.

    Source: as of ``orthogonality``.

    >>> edit_attribute(jnp.zeros(2), jnp.array([[0.0, 5.0]]), 0, step=2.0).tolist()
    [0.0, 2.0]
    """
    if w.ndim != 2 or w.shape[1] != features.shape[-1]:
        raise InputError(
            f"w has shape {w.shape}; accepted: (K, D) for features of shape "
            f"{features.shape}"
        )
    if not 0 <= attribute < w.shape[0]:
        raise InputError(
            f"attribute must lie in 0 to {w.shape[0] - 1}; got {attribute}"
        )
    row = _unit(w[attribute])
    wide = jnp.promote_types(row.dtype, accumulation_dtype(features.dtype))
    way = jnp.asarray(step, wide) * row.astype(wide)
    way = way.reshape((1,) * (features.ndim - 1) + way.shape)
    return (features.astype(wide) + way).astype(features.dtype)


def _unit(w: jax.Array) -> jax.Array:
    """Rows of length 1; zeros stay."""
    w = w.astype(accumulation_dtype(w.dtype))
    # Squares of tiny numbers are 0, those of large ones infinite.
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(w), axis=-1, keepdims=True))
    w = w / jnp.where(largest > 0, largest, 1)
    squares = jnp.sum(w**2, axis=-1, keepdims=True)
    return w / jnp.sqrt(jnp.where(squares > 0, squares, 1))
