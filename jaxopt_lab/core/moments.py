"""Moments of gradients and the directions made of them, with safe derivatives.

The functions take one array at a time, so that they serve whole trees under
``jax.tree.map`` as well as chunks of a tensor whose state is stored as codes. All of
them are finite, in value and in derivative, where gradients and moments are zero.

Of complex gradients first moments are complex and second moments are the real averages
of :math:`|g|^2`, as in optax.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jaxopt_lab.core import trees
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.numbers import known_number
from jaxopt_lab.core.typing import Scalar


def check_decay(name: str, value: Any) -> None:
    """Refuse a Python number outside of [0, 1); schedules and traced values pass.

    Args:
      name: name of the argument, for the message.
      value: what was given. At 1 an average never starts, and the correction of its
        bias divides by zero.

    Raises:
      InputError: it is out of range or NaN.
    """
    number = known_number(value)
    if number is not None and not 0 <= number < 1:
        raise InputError(f"{name} must lie in [0, 1); got {value}")


def moment_dtype(dtype: DTypeLike) -> jnp.dtype:
    """The type in which values of ``dtype`` are averaged.

    Args:
      dtype: any numeric type.

    Returns:
      The complex type of ``magnitude_dtype`` for complex types, else
      ``magnitude_dtype``.

    >>> str(moment_dtype(jnp.bfloat16)), str(moment_dtype(jnp.complex64))
    ('float32', 'complex64')
    """
    wide = trees.magnitude_dtype(dtype)
    if jnp.issubdtype(dtype, jnp.complexfloating):
        return jnp.result_type(wide, jnp.complex64)
    return wide


def zeros(x: jax.Array) -> jax.Array:
    """Zeros for a first moment of ``x``.

    Args:
      x: a parameter, floating or complex; an array, its shape and dtype, or a number.

    Returns:
      Array of the shape and sharding of ``x``, in float32 or better: a moment in
      bfloat16 would stand still as soon as it is 256 times its increment.

    >>> str(zeros(jnp.ones(3, jnp.bfloat16)).dtype)
    'float32'
    """
    return jnp.zeros_like(x, dtype=moment_dtype(jnp.result_type(x)))


def zeros_of_squares(x: jax.Array) -> jax.Array:
    """Zeros for a second moment of ``x``, which is real.

    Args:
      x: a parameter, floating or complex.

    Returns:
      Array of the shape and sharding of ``x``, float32, or float64 for double
      precision.

    >>> str(zeros_of_squares(jnp.ones(3, jnp.complex64)).dtype)
    'float32'
    """
    return jnp.zeros_like(x, dtype=trees.magnitude_dtype(jnp.result_type(x)))


def squared(x: jax.Array, dtype: DTypeLike) -> jax.Array:
    """The squared magnitude of every element.

    Args:
      x: real or complex.
      dtype: real type in which they are squared.

    Returns:
      :math:`|x|^2`, of that type.

    >>> float(squared(jnp.array(3 + 4j), jnp.float32))
    25.0
    """
    if jnp.iscomplexobj(x):
        real, imaginary = (part(x).astype(dtype) for part in (jnp.real, jnp.imag))
        return real * real + imaginary * imaginary
    wide = x.astype(dtype)
    return wide * wide


def average(moment: jax.Array, value: jax.Array, decay: Scalar) -> jax.Array:
    """``decay * moment + (1 - decay) * value``.

    Args:
      moment: the average so far.
      value: the new value, of any floating dtype; complex only where ``moment`` is.
      decay: weight of the past, in [0, 1]; a number or a traced scalar.

    Returns:
      The new average, in the dtype of ``moment``.

    >>> float(average(jnp.array(1.0), jnp.array(3.0), 0.5))
    2.0
    """
    keep = jnp.asarray(decay, moment.dtype)
    return keep * moment + (1 - keep) * value.astype(moment.dtype)


def average_of_squares(moment: jax.Array, value: jax.Array, decay: Scalar) -> jax.Array:
    """``decay * moment + (1 - decay) * |value|**2``.

    Args:
      moment: the average so far, real.
      value: the new value, floating or complex; squared in the dtype of ``moment``.
      decay: weight of the past, in [0, 1]; a number or a traced scalar.

    Returns:
      The new average, in the dtype of ``moment``.
    """
    return average(moment, squared(value, moment.dtype), decay)


def bias_correction(decay: Scalar, count: jax.Array, dtype: DTypeLike) -> jax.Array:
    """``1 - decay**count``: the total weight in an average that began at zero.

    Args:
      decay: weight of the past, in [0, 1).
      count: number of values averaged, at least 1.
      dtype: floating type of the result.

    Returns:
      Scalar; its derivative with respect to ``decay`` is finite at 0 too.

    >>> float(bias_correction(0.5, jnp.int32(2), jnp.float32))
    0.75
    """
    return 1 - jnp.asarray(decay, dtype) ** count.astype(dtype)


def adam_direction(
    mean: jax.Array,
    square: jax.Array,
    eps: Scalar,
    mean_correction: Scalar = 1.0,
    square_correction: Scalar = 1.0,
) -> jax.Array:
    r"""``(mean / c1) / (sqrt(square / c2) + eps)``, the direction of Adam.

    Args:
      mean: first moment, real or complex.
      square: second moment, real and not negative, of the same precision.
      eps: added to the root, in the units of the gradient; may be 0.
      mean_correction: c1, as ``bias_correction`` gives it.
      square_correction: c2.

    Returns:
      Array like ``mean``; 0, with the derivative 0 through the root, where ``square``
      is 0 and so is ``mean``.

    >>> one, zero = jnp.array(2.0), jnp.array(0.0)
    >>> float(adam_direction(one, one * one, 0.0)), float(
    ...     adam_direction(zero, zero, 0.0)
    ... )
    (1.0, 0.0)
    """
    scales = direction_scales(mean_correction, square_correction, square.dtype)
    return scaled_direction(mean, square, eps, *scales)


def direction_scales(
    mean_correction: Scalar, square_correction: Scalar, dtype: DTypeLike
) -> tuple[jax.Array, jax.Array]:
    """Factors of ``scaled_direction``, for loops: the same for all entries.

    Args:
      mean_correction: of the first moment, as ``bias_correction`` gives it.
      square_correction: of the second.
      dtype: floating type.

    Returns:
      ``(1 / c1, 1 / sqrt(c2))``.
    """
    # Scalars are inverted once; a division for each entry would cost more.
    scale = 1 / jnp.asarray(mean_correction, dtype)
    return scale, 1 / trees.safe_sqrt(jnp.asarray(square_correction, dtype))


def scaled_direction(
    mean: jax.Array,
    square: jax.Array,
    eps: Scalar,
    scale: jax.Array,
    root_scale: jax.Array,
) -> jax.Array:
    """``scale mean / (root_scale sqrt(square) + eps)``, see ``adam_direction``.

    Args:
      mean: first moment, real or complex.
      square: second moment, real and not negative, of the same precision.
      eps: added to the root, in the units of the gradient; may be 0.
      scale: from ``direction_scales``.
      root_scale: likewise.

    Returns:
      Array like ``mean``.
    """
    dtype = square.dtype
    root = trees.safe_sqrt(square) * root_scale + jnp.asarray(eps, dtype)
    return quotient(mean * scale.astype(mean.dtype), root)


def quotient(numerator: jax.Array, root: jax.Array) -> jax.Array:
    """``numerator / root``, safe where the root is zero.

    Args:
      numerator: real or complex.
      root: real, of the same precision.

    Returns:
      Array like ``numerator``; 0, with zero derivatives, where ``root`` is 0.
    """
    if not jnp.iscomplexobj(numerator):
        return trees.safe_divide(numerator, root)
    # By parts: a complex division squares the denominator, which may underflow.
    parts = (trees.safe_divide(x(numerator), root) for x in (jnp.real, jnp.imag))
    return jax.lax.complex(*parts)


def corrected_direction(
    mu: jax.Array,
    nu: jax.Array,
    count: jax.Array,
    b1: Scalar,
    b2: Scalar,
    eps: Scalar,
) -> jax.Array:
    """``adam_direction`` of moments that began at zero, without their biases.

    Args:
      mu: first moment, real or complex.
      nu: second moment, real, of the same precision.
      count: number of values averaged, at least 1.
      b1: decay of the first moment, in [0, 1).
      b2: decay of the second, in [0, 1).
      eps: added to the root, after the correction.

    Returns:
      Array like ``mu``.
    """
    corrections = (bias_correction(b, count, nu.dtype) for b in (b1, b2))
    return adam_direction(mu, nu, eps, *corrections)


def adam_step(
    g: jax.Array,
    mu: jax.Array,
    nu: jax.Array,
    count: jax.Array,
    b1: Scalar,
    b2: Scalar,
    eps: Scalar,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """One step of Adam on one array.

    Args:
      g: gradient, floating or complex.
      mu: first moment before the step, complex for a complex gradient.
      nu: second moment before it.
      count: number of the step, from 1.
      b1: decay of the first moment, in [0, 1).
      b2: decay of the second, in [0, 1).
      eps: added to the root, after the correction of the biases.

    Returns:
      ``(direction, mu, nu)``, the direction in the dtype of ``mu``.

    >>> zero = jnp.zeros(())
    >>> u, mu, nu = adam_step(jnp.array(-3.0), zero, zero, jnp.int32(1), 0.9, 0.99, 0.0)
    >>> round(float(u), 3), round(float(mu), 3), round(float(nu), 3)
    (-1.0, -0.3, 0.09)
    """
    mu = average(mu, g, b1)
    nu = average_of_squares(nu, g, b2)
    return corrected_direction(mu, nu, count, b1, b2, eps), mu, nu


class AdamScalars(NamedTuple):
    """Scalars of a step of Adam, computed once for all leaves.

    The same for each leaf, or in a loop, is work for the compiler.

    Attributes:
      b1: decay of the first moment.
      b2: decay of the second.
      eps: added to the root.
      scale: see ``scaled_direction``.
      root_scale: likewise.
    """

    b1: jax.Array
    b2: jax.Array
    eps: jax.Array
    scale: jax.Array
    root_scale: jax.Array

    @classmethod
    def of(cls, count: jax.Array, b1: Scalar, b2: Scalar, eps: Scalar) -> AdamScalars:
        """Those of a step.

        Args:
          count: number of the step, from 1.
          b1: decay of the first moment, in [0, 1).
          b2: decay of the second, in [0, 1).
          eps: added to the root, after the correction of the biases.

        Returns:
          Scalars of the widest floating type there is.
        """
        dtype = jnp.result_type(float)
        first, second = (bias_correction(b, count, dtype) for b in (b1, b2))
        b1, b2, eps = (jnp.asarray(x, dtype) for x in (b1, b2, eps))
        return cls(b1, b2, eps, *direction_scales(first, second, dtype))

    def direction(self, mu: jax.Array, nu: jax.Array) -> jax.Array:
        """The direction of moments after the step, in the type of the scalars."""
        return scaled_direction(mu, nu, self.eps, self.scale, self.root_scale)

    def step(
        self, g: jax.Array, mu: jax.Array, nu: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """``adam_step`` of arrays whose moments have the type of the scalars."""
        mu = average(mu, g, self.b1)
        nu = average_of_squares(nu, g, self.b2)
        return self.direction(mu, nu), mu, nu


def rms_direction(
    value: jax.Array, square: jax.Array, eps: Scalar, mean: jax.Array | None = None
) -> jax.Array:
    """``value / (sqrt(square - mean**2) + eps)``, the direction of RMSprop.

    Args:
      value: the gradient, real or complex.
      square: running average of its squares, real, of the same precision.
      eps: added to the root, in the units of the gradient; may be 0.
      mean: running average of the gradients, for the centered form; ``None``: 0.

    Returns:
      Array like ``value``. Where rounding makes the variance negative it counts as 0.
    """
    if mean is not None:
        variance = square - squared(mean, square.dtype)
        # Not a maximum: that would make zero of a NaN.
        square = jnp.where(variance < 0, jnp.zeros_like(variance), variance)
    root = trees.safe_sqrt(square) + jnp.asarray(eps, square.dtype)
    return quotient(value, root)
