"""Gamma numbers drawn as whole arrays, in one loop that compiles fast."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxopt_lab.core.argument_checks import check_key
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.trees import accumulation_dtype


def log_gamma_numbers(key: jax.Array, shape_parameter: ArrayLike) -> jax.Array:
    r"""Logarithms of gamma numbers of rate 1, by the rejection of Marsaglia and Tsang.

    .. math:: d = a - \tfrac13, \quad v = (1 + x / \sqrt{9 d})^3, \qquad
        \log u < \tfrac12 x^2 + d - d v + d \log v

    accepts :math:`d v` for :math:`x \sim N(0, 1)` and u uniform; a shape below 1 takes
    the number of the shape :math:`a + 1` times :math:`U^{1/a}`. Logarithms keep the
    numbers of small shapes, which would be 0.

    ``jax.random.loggamma`` draws one number at a time on a CPU, and each use compiles
    for seconds; here all that were rejected are drawn once more together, about four
    times for thousands of numbers.

    Args:
      key: typed random key.
      shape_parameter: a, floating, at least 0, any shape; at 0, the limit, the result
        is minus infinity, at infinity infinity.

    Returns:
      float32 (float64 for float64) of the same shape; NaN where ``shape_parameter`` is
      negative or NaN. Not differentiable.

    Raises:
      InputError: ``shape_parameter`` is not of a floating type, or ``key`` is no typed
        key.

    Reference: Marsaglia and Tsang, "A simple method for generating gamma variables",
    ACM TOMS 26, 2000.

    >>> log_gamma_numbers(jax.random.key(0), jnp.array([0.0, jnp.inf])).tolist()
    [-inf, inf]
    """
    check_key("key", key)
    a = jnp.asarray(shape_parameter)
    if not jnp.issubdtype(a.dtype, jnp.floating):
        raise InputError(f"shape_parameter must be of a floating type; got {a.dtype}")
    a = a.astype(accumulation_dtype(a.dtype))
    drawable = (a > 0) & jnp.isfinite(a)
    kept = jnp.where(drawable, a, 1)
    d = jnp.where(kept < 1, kept + 1, kept) - 1 / 3
    slope = 1 / (3 * jnp.sqrt(d))
    repeated, boosted = jax.random.split(key)

    def propose(carry):
        i, accepted, logs = carry
        first, second = jax.random.split(jax.random.fold_in(repeated, i))
        x = jax.random.normal(first, a.shape, a.dtype)
        u = 1 - jax.random.uniform(second, a.shape, a.dtype)
        root = 1 + slope * x
        log_v = 3 * jnp.log(jnp.where(root > 0, root, 1))
        bound = x * x / 2 + d - d * jnp.exp(log_v) + d * log_v
        good = (root > 0) & (jnp.log(u) < bound)
        logs = jnp.where(~accepted & good, jnp.log(d) + log_v, logs)
        return i + 1, accepted | good, logs

    start = jnp.zeros((), jnp.int32), jnp.zeros(a.shape, bool), jnp.zeros_like(a)
    _, _, logs = jax.lax.while_loop(lambda carry: ~jnp.all(carry[1]), propose, start)
    u = 1 - jax.random.uniform(boosted, a.shape, a.dtype)
    logs += jnp.where(kept < 1, jnp.log(u) / kept, 0)
    logs = jnp.where(a == 0, -jnp.inf, jnp.where(drawable, logs, a))
    return jnp.where(a < 0, jnp.nan, logs)
