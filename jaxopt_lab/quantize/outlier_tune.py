"""OutlierTune: static scales of channels, folded into the weights."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core import trees
from jaxopt_lab.core.division import quotient
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.options import STATIC, Interval, check_arguments
from jaxopt_lab.core.qarray import QArray
from jaxopt_lab.quantize.report import check_values


class FoldedLayer(NamedTuple):
    """A dense layer whose inputs are rounded with a step of each channel.

    Attributes:
      shift: z, ``(inputs,)``, subtracted from the inputs; may be folded into the bias
        of the normalization before.
      scale: s, step of each input, ``(inputs,)``.
      weight: codes of diag(s) W, one step an output, ``(inputs, outputs)``.
      bias: b + z W, ``(outputs,)``.
      top: largest code of an input.
    """

    shift: jax.Array
    scale: jax.Array
    weight: QArray
    bias: jax.Array
    top: jax.Array

    def codes(self, x: jax.Array) -> jax.Array:
        """The inputs as int8, ``(..., inputs)``."""
        wide = x.astype(self.scale.dtype)
        shape = (1,) * (x.ndim - 1) + self.scale.shape
        shift, scale = self.shift.reshape(shape), self.scale.reshape(shape)
        codes = jnp.round(quotient(wide - shift, scale))
        return jnp.clip(codes, -self.top, self.top).astype(jnp.int8)

    def __call__(self, x: jax.Array) -> jax.Array:
        """The outputs, ``(..., outputs)``, from a product of whole numbers."""
        product = jnp.matmul(
            self.codes(x), self.weight.qvalue, preferred_element_type=jnp.int32
        )
        shape = (1,) * (x.ndim - 1) + (-1,)
        scale, bias = self.weight.scale.reshape(shape), self.bias.reshape(shape)
        return (product.astype(scale.dtype) * scale + bias).astype(x.dtype)


def outlier_tune(
    weight: jax.Array,
    bias: jax.Array,
    low: jax.Array,
    high: jax.Array,
    *,
    bits: Annotated[int, Interval(2, 8), STATIC] = 8,
    symmetrize: Annotated[bool, STATIC] = True,
) -> FoldedLayer:
    r"""Fold the scales of the channels of calibration inputs into a dense layer.

    With the extremes :math:`l_j, h_j` of channel j and :math:`Q = 2^{bits-1} - 1`,

    .. math::
        z = (l + h) / 2, \quad s = \max(h - z, z - l) / Q, \quad
        W_1 = \mathrm{diag}(s) W, \quad
        y = (x_{int} W_{1,int}) s_w + b + z W,

    where :math:`x_{int} = \mathrm{round}((x - z) / s)` and :math:`s_w` is the step of
    an output of :math:`W_1`. No work by channel is left at run time but the shift.

    Args:
      weight: W, ``(inputs, outputs)``, as a Flax kernel.
      bias: b, ``(outputs,)``.
      low: smallest value of every channel in the calibration data, ``(inputs,)``.
      high: largest value.
      bits: bits of the codes of inputs and weights, 2 to 8.
      symmetrize: subtract z; otherwise z is 0. Without it folding is no better than a
        scale of each token.

    Returns:
      The folded layer. Later inputs out of the calibrated range are clipped.

    Raises:
      InputError: the shapes do not fit, bits out of range or, outside of ``jit``,
        values that are not finite.

    No public code; the formulas are written from the abstract, the order of rounding
    is ours.

    >>> layer = outlier_tune(jnp.eye(2), jnp.zeros(2), -jnp.ones(2), jnp.ones(2))
    >>> layer(jnp.array([[1.0, -0.5]])).round(2).tolist()
    [[1.0, -0.5]]

    Source: Wang, Wang, Xu and others, "OutlierTune", arXiv:2406.18832.
    """
    check_arguments(outlier_tune, locals())
    weight, bias, low, high = map(jnp.asarray, (weight, bias, low, high))
    inputs = (weight.shape[0],) if weight.ndim == 2 else None
    if low.shape != inputs or high.shape != inputs or bias.shape != weight.shape[1:]:
        raise InputError(
            "outlier_tune takes weight (inputs, outputs), bias (outputs,) and the "
            f"extremes (inputs,); got {weight.shape}, {bias.shape}, {low.shape} and "
            f"{high.shape}"
        )
    check_values("outlier_tune", weight=weight, bias=bias, low=low, high=high)
    dtype = trees.accumulation_dtype(weight.dtype)
    weight, bias, low, high = (x.astype(dtype) for x in (weight, bias, low, high))
    top = 2 ** (bits - 1) - 1
    shift = (low + high) / 2 if symmetrize else jnp.zeros_like(low)
    spread = jnp.maximum(high - shift, shift - low)
    # A channel that is always the same has the step 1.
    spread = jnp.where(spread > 0, spread, top)
    scale = quotient(spread, top)
    folded = scale[:, None] * weight
    largest = jnp.max(jnp.abs(folded), axis=0, keepdims=True)
    step = quotient(jnp.where(largest > 0, largest, 1), top)
    codes = jnp.round(quotient(folded, step)).astype(jnp.int8)
    return FoldedLayer(
        shift,
        scale,
        QArray(codes, step, None),
        bias + shift @ weight,
        jnp.asarray(top, dtype),
    )
