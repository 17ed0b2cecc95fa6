"""Elementwise derivatives that are finite wherever the arguments are.

One principle: a partial derivative that does not exist, or that overflows, counts as
zero; all others are jax's own to rounding. Every formula below is made of the safe
primitives again, and no factor in it is infinite or NaN (``0 * inf`` in a reverse
pass would be NaN whatever is selected afterwards), so that derivatives of
every order are finite.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import primitives

from jaxopt_lab.bilevel.safe_primitives import (
    PLAIN,
    Slopes,
    elementwise,
    finite,
    zero_unless,
)


def _shift(slopes: Slopes, x: Any) -> tuple[Any]:
    if not slopes.eps_root:
        return (x,)
    return (lax.add(x, lax.full_like(x, slopes.eps_root)),)


def divide(x: Any, y: Any) -> jax.Array:
    """Quotient with safe derivatives.

    Args:
      x: floating array.
      y: of the same shape and dtype, or one of them a scalar.

    Returns:
      ``x / y``, infinite or NaN where that is.
    """
    return div_p.bind(x, y, slopes=PLAIN)


def reciprocal(x: jax.Array) -> jax.Array:
    """``1 / x``, and 0 where that is infinite, with safe derivatives.

    Args:
      x: floating array.

    Returns:
      Array of the same shape.
    """
    return finite(divide(lax.full_like(x, 1), x))


def _sqrt(_: Slopes, root: Any, x: Any, **params: Any) -> jax.Array:
    return finite(divide(lax.full_like(root, 0.5), root))


def _rsqrt(slopes: Slopes, result: Any, x: Any, **params: Any) -> jax.Array:
    (x,) = _shift(slopes, x)
    half = lax.mul(lax.full_like(result, -0.5), finite(result))
    return finite(lax.mul(half, reciprocal(x)))


def _log(_: Slopes, result: Any, x: Any, **params: Any) -> jax.Array:
    return zero_unless(lax.gt(x, lax.full_like(x, 0)), reciprocal(x))


def _log1p(_: Slopes, result: Any, x: Any, **params: Any) -> jax.Array:
    slope = reciprocal(lax.add(x, lax.full_like(x, 1)))
    return zero_unless(lax.gt(x, lax.full_like(x, -1)), slope)


def _log2(_: Slopes, result: Any, x: Any, **params: Any) -> jax.Array:
    slope = reciprocal(lax.mul(x, lax.full_like(x, math.log(2))))
    return zero_unless(lax.gt(x, lax.full_like(x, 0)), slope)


def _cbrt(slopes: Slopes, root: Any, x: Any, **params: Any) -> jax.Array:
    (x,) = _shift(slopes, x)
    third = lax.mul(lax.full_like(root, 1 / 3), finite(root))
    return finite(lax.mul(third, reciprocal(x)))


def _integer_pow(_: Slopes, result: Any, x: Any, *, y: int, **params: Any) -> jax.Array:
    if y == 0:
        return lax.full_like(x, 0)
    if y == 1:
        return lax.full_like(x, 1)
    power = finite(integer_pow_p.bind(x, y=y - 1, slopes=PLAIN, **params))
    return finite(lax.mul(lax.full_like(x, y), power))


def _pow_base(_: Slopes, result: Any, x: Any, y: Any, **params: Any) -> jax.Array:
    one = lax.full_like(y, 1)
    zero = lax.eq(y, lax.full_like(y, 0))
    less = lax.select(zero, one, lax.sub(y, one))
    power = finite(pow_p.bind(x, less, slopes=PLAIN, **params))
    factor = y.astype(power.dtype)
    if jnp.issubdtype(y.dtype, jnp.floating):
        factor = finite(factor)
    return finite(lax.mul(factor, power))


def _pow_exponent(_: Slopes, result: Any, x: Any, y: Any, **params: Any) -> jax.Array:
    # Zero to a power above zero stays zero whatever the power; at and below it, and
    # for a negative base, there is no derivative.
    log = finite(log_p.bind(x, slopes=PLAIN, accuracy=None))
    slope = finite(lax.mul(log, finite(result)))
    return lax.mul(slope, lax.gt(x, lax.full_like(x, 0)).astype(slope.dtype))


def _clip(slopes: Slopes, x: jax.Array) -> jax.Array:
    if slopes.max_slope is None:
        return x
    return jnp.clip(x, -slopes.max_slope, slopes.max_slope)


# The partial with respect to the denominator is the quotient over the denominator.
# jax's own is x / y^2, whose square overflows in float32 for y below 1e-19.
def _div_numerator(slopes: Slopes, quotient: Any, x: Any, y: Any) -> jax.Array:
    return _clip(slopes, reciprocal(y))


def _div_denominator(slopes: Slopes, quotient: Any, x: Any, y: Any) -> jax.Array:
    slope = lax.neg(lax.mul(finite(quotient), reciprocal(y)))
    return _clip(slopes, finite(slope))


def _mul_left(_: Slopes, result: Any, x: Any, y: Any, **params: Any) -> jax.Array:
    return finite(y)


def _mul_right(_: Slopes, result: Any, x: Any, y: Any, **params: Any) -> jax.Array:
    return finite(x)


def _square(_: Slopes, result: Any, x: Any, **params: Any) -> jax.Array:
    return finite(lax.mul(lax.full_like(x, 2), finite(x)))


sqrt_p = elementwise(primitives.sqrt_p, _sqrt, prepare=_shift)
rsqrt_p = elementwise(primitives.rsqrt_p, _rsqrt, prepare=_shift)
log_p = elementwise(primitives.log_p, _log)
log1p_p = elementwise(primitives.log1p_p, _log1p)
cbrt_p = elementwise(primitives.cbrt_p, _cbrt, prepare=_shift)
integer_pow_p = elementwise(primitives.integer_pow_p, _integer_pow)
pow_p = elementwise(primitives.pow_p, _pow_base, _pow_exponent)
div_p = elementwise(primitives.div_p, _div_numerator, _div_denominator)
mul_p = elementwise(primitives.mul_p, _mul_left, _mul_right)
square_p = elementwise(primitives.square_p, _square)

ALWAYS = {
    "sqrt": sqrt_p,
    "rsqrt": rsqrt_p,
    "log": log_p,
    "log1p": log1p_p,
    "cbrt": cbrt_p,
    "integer_pow": integer_pow_p,
    "pow": pow_p,
    "div": div_p,
}
"""Safe primitives by the name of jax's own, to be taken everywhere."""

# In jax 0.10 it is one logarithm over another.
if (_LOG2 := getattr(primitives, "log2_p", None)) is not None:
    ALWAYS["log2"] = elementwise(_LOG2, _log2)

BEFORE_SELECT = {"mul": mul_p, "square": square_p}
"""Those that matter only for values that a ``select`` may discard."""
