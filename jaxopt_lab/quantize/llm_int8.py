"""LLM.int8: 8-bit products, with the columns of outliers in floating point."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp

from jaxopt_lab.core import trees
from jaxopt_lab.core.division import quotient
from jaxopt_lab.core.errors import InputError, unknown
from jaxopt_lab.core.options import NON_NEGATIVE, STATIC, check_arguments

Outliers = Literal["weights", "codes"]
_TOP = 127


class Int8Product(NamedTuple):
    """A product in 8 bits, with its parts.

    Attributes:
      output: ``(tokens, outputs)``.
      x_codes: codes of the inputs, int8, 0 in columns of outliers.
      weight_codes: codes of the weights, int8.
      accumulated: the product of the codes, int32.
      outliers: whether a column holds an outlier, ``(inputs,)``.
    """

    output: jax.Array
    x_codes: jax.Array
    weight_codes: jax.Array
    accumulated: jax.Array
    outliers: jax.Array


def llm_int8(
    x: jax.Array,
    weight: jax.Array,
    *,
    threshold: Annotated[float, NON_NEGATIVE] = 6.0,
    outlier_weights: Annotated[Outliers, STATIC] = "weights",
) -> Int8Product:
    r"""Multiply in 8 bits, but for inputs that hold a large value.

    With O the columns of X in which :math:`|x| \ge` ``threshold`` for some token,
    :math:`c_i = \max_j |x_{ij}|` over the smaller entries and
    :math:`w_o = \max_j |W_{oj}|` over all,

    .. math::
        Y = \frac{c_i w_o}{127^2} \sum_{j \notin O}
            \mathrm{round}\!\left(\tfrac{127 x_{ij}}{c_i}\right)
            \mathrm{round}\!\left(\tfrac{127 W_{oj}}{w_o}\right)
            + \sum_{j \in O} x_{ij} W_{oj}.

    Args:
      x: X, ``(tokens, inputs)``.
      weight: W, ``(outputs, inputs)``.
      threshold: of an outlier; 0 leaves all columns in floating point.
      outlier_weights: W of the second sum: the ``"weights"``, as published, or the
        values of their 8-bit ``"codes"``, as the library has it, which keeps no other
        copy.

    Returns:
      Output, codes and the int32 product. The shapes do not depend on the data, so
      that both sums run over all columns; no derivative through the codes.

    Raises:
      InputError: the shapes do not fit, or an unknown option.

    The library multiplies by a decimal constant for :math:`1 / 127^2` that is 1.8e-5
    too large; here it is exact.

    >>> x = jnp.array([[0.5, -1.0, 60.0]])
    >>> found = llm_int8(x, jnp.array([[1.0, 1.0, 0.5]]))
    >>> round(float(found.output[0, 0]), 2), found.outliers.tolist()
    (29.5, [False, False, True])

    Source: Dettmers, Lewis, Belkada and Zettlemoyer, "LLM.int8()", arXiv:2208.07339.
    Code followed: bitsandbytes 0.50.
    """
    check_arguments(llm_int8, locals())
    if outlier_weights not in get_args(Outliers):
        raise unknown("outlier_weights", outlier_weights, get_args(Outliers))
    x, weight = jnp.asarray(x), jnp.asarray(weight)
    if x.ndim != 2 or weight.ndim != 2 or x.shape[1] != weight.shape[1]:
        raise InputError(
            "llm_int8 takes x of shape (tokens, inputs) and weight of shape (outputs, "
            f"inputs); got {x.shape} and {weight.shape}"
        )
    dtype = trees.accumulation_dtype(x.dtype)
    wide, wide_weight = x.astype(dtype), weight.astype(dtype)
    large = jnp.abs(wide) >= threshold
    outliers = jnp.any(large, axis=0)
    x_scale = jnp.max(jnp.where(large, 0, jnp.abs(wide)), axis=1, keepdims=True)
    weight_scale = jnp.max(jnp.abs(wide_weight), axis=1, keepdims=True)
    x_codes = jnp.where(outliers[None], 0, _codes(wide, x_scale))
    weight_codes = _codes(wide_weight, weight_scale)
    accumulated = jax.lax.dot_general(
        x_codes.astype(jnp.int8),
        weight_codes.astype(jnp.int8),
        (((1,), (1,)), ((), ())),
        preferred_element_type=jnp.int32,
    )
    scale = x_scale * weight_scale.T / _TOP**2
    kept = wide_weight
    if outlier_weights == "codes":
        kept = weight_codes * weight_scale / _TOP
    rest = jnp.where(outliers[None], wide, 0) @ kept.T
    output = (accumulated.astype(dtype) * scale + rest).astype(x.dtype)
    return Int8Product(
        output,
        x_codes.astype(jnp.int8),
        weight_codes.astype(jnp.int8),
        accumulated,
        outliers,
    )


def _codes(x: jax.Array, scale: jax.Array) -> jax.Array:
    """Whole numbers from -127 to 127 in floats; 0 in a row of zeros."""
    codes = jnp.round(quotient(x * _TOP, jnp.where(scale > 0, scale, 1)))
    return jnp.clip(codes, -_TOP, _TOP)
