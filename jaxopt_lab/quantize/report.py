"""The error of a quantized matrix on its inputs."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.known_values import known_values


class QuantizerReport(NamedTuple):
    r"""The cost and the gain of one quantized matrix.

    Attributes:
      error: :math:`|(W - Q) X^\top|^2 / |W X^\top|^2`, a scalar; 0 where W X is 0.
      nearest_error: that of rounding to the nearest on the same grid.
      nbytes: bytes of codes, scales and zero points.
    """

    error: jax.Array
    nearest_error: jax.Array
    nbytes: int


def calibration_error(
    weight: jax.Array, quantized: jax.Array, gram: jax.Array | None
) -> jax.Array:
    r"""Squared error of the outputs, relative to the outputs.

    .. math::
        \operatorname{tr}((W - Q) G (W - Q)^\top) / \operatorname{tr}(W G W^\top),
        \quad G = X^\top X.

    Args:
      weight: W, ``(outputs, inputs)``.
      quantized: Q, of the same shape.
      gram: G, ``(inputs, inputs)``; ``None``: the identity.

    Returns:
      A scalar in float32 or float64, 0 where the denominator is.

    Raises:
      InputError: the shapes do not fit.

    >>> w = jnp.array([[1.0, 2.0]])
    >>> float(calibration_error(w, w + 0.5, jnp.diag(jnp.array([1.0, 0.0]))))
    0.25
    """
    if weight.ndim != 2 or weight.shape != quantized.shape:
        raise InputError(
            "weight and quantized must be matrices of one shape, (outputs, inputs); "
            f"got {weight.shape} and {quantized.shape}"
        )
    if gram is not None:
        check_gram(gram, weight.shape[1])
    return _relative_error(weight, quantized, gram)


def check_gram(gram: jax.Array, inputs: int) -> None:
    """Refuse a gram matrix of another shape, or of complex numbers.

    Args:
      gram: the matrix.
      inputs: number of inputs of the weight.

    Raises:
      InputError: it is not ``(inputs, inputs)``, or not real.
    """
    if jnp.iscomplexobj(gram):
        raise InputError(f"gram must be real; got {gram.dtype}")
    if gram.shape != (inputs, inputs):
        raise InputError(
            f"gram must have shape {(inputs, inputs)}, inputs by inputs; got "
            f"{gram.shape}"
        )


def check_values(of: str, **arrays: Any) -> None:
    """Refuse values that are not finite, and a gram matrix that can be none.

    Args:
      of: the quantizer, for the message.
      **arrays: by what they are, such as ``weight`` and ``gram``; ``None`` and traced
        ones pass.

    Raises:
      InputError: one holds NaN or an infinity, or ``gram`` has a diagonal below 0.
    """
    for what, value in arrays.items():
        known = None if value is None else known_values(value)
        if known is None:
            continue
        if not np.isfinite(known).all():
            raise InputError(f"{what} of {of} must be finite; it holds NaN or inf")
        if what == "gram" and (np.diagonal(known) < 0).any():
            raise InputError(
                f"gram of {of} must be a sum of outer products; its diagonal falls to "
                f"{np.diagonal(known).min():g}"
            )


@jax.jit
def _relative_error(
    weight: jax.Array, quantized: jax.Array, gram: jax.Array | None
) -> jax.Array:
    dtype = trees.accumulation_dtype(weight.dtype)

    def square(x: jax.Array) -> jax.Array:
        return jnp.sum(x * (x if gram is None else x @ gram.astype(dtype)))

    wide = weight.astype(dtype)
    return trees.safe_divide(square(wide - quantized.astype(dtype)), square(wide))
