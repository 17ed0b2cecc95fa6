"""Draws of counts that jax.random lacks: tables of a restaurant, counts above 0."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxopt_lab.core.argument_checks import check_key
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.trees import accumulation_dtype

_BLOCK = 32  # customers whose numbers are drawn at once


def crt(key: jax.Array, counts: ArrayLike, concentration: ArrayLike) -> jax.Array:
    r"""Tables that the customers of a Chinese restaurant take.

    .. math:: \operatorname{CRT}(n, r) = \sum_{i=0}^{n-1}
        \operatorname{Bernoulli}\!\left(\frac{r}{r + i}\right)

    It is the number of clusters among n points of a Dirichlet process, and the
    augmentation that makes a gamma prior on the shape of a negative binomial
    distribution conjugate.

    Args:
      key: typed random key.
      counts: n, integers of at least 0, any shape.
      concentration: r, floating, at least 0, broadcast against ``counts``; at 0, the
        limit, all sit at one table, at infinity each at one of their own.

    Returns:
      int32 of the common shape, 0 where ``counts`` is 0; -1 where ``counts`` or
      ``concentration`` is negative or NaN.

    Raises:
      InputError: ``counts`` is not of an integer type, ``concentration`` not of a
        floating one, or ``key`` is no typed key.

    No bound of the counts is needed: the loop ends at the largest. Cost: as many
    uniform numbers as the largest count for each element, memory of 32 for each.
    Differences of chances below 1e-7 are lost in float32. Nothing is differentiable.

    Reference: Zhou and Carin, "Negative binomial process count and mixture modeling",
    IEEE TPAMI 2015, arXiv:1209.3442.

    >>> crt(jax.random.key(0), jnp.array([0, 1, 9]), jnp.inf).tolist()
    [0, 1, 9]
    """
    check_key("key", key)
    n, r = jnp.asarray(counts), jnp.asarray(concentration)
    if not jnp.issubdtype(n.dtype, jnp.integer):
        raise InputError(f"counts must be of an integer type; got {n.dtype}")
    _check_floating("concentration", r)
    r = r.astype(accumulation_dtype(r.dtype))
    shape = jnp.broadcast_shapes(n.shape, r.shape)
    n = jnp.broadcast_to(n, shape).astype(jnp.int32)
    r = jnp.broadcast_to(r, shape)
    within = jnp.arange(_BLOCK, dtype=jnp.int32).reshape((_BLOCK,) + (1,) * len(shape))

    def seat(block: jax.Array, tables: jax.Array) -> jax.Array:
        drawn = jax.random.uniform(
            jax.random.fold_in(key, block), (_BLOCK, *shape), r.dtype
        )
        customer = block * _BLOCK + within
        # In (0, 1]: a chance of 1e-30 never opens a table, one of 1 always does.
        opens = (1 - drawn) * (r[None] + customer.astype(r.dtype)) <= r[None]
        opens &= customer < n[None]
        return tables + jnp.sum(opens, axis=0, dtype=jnp.int32)

    blocks = (jnp.max(n, initial=0) + (_BLOCK - 1)) // _BLOCK
    none = jnp.zeros(shape, jnp.int32)
    tables = jax.lax.fori_loop(jnp.zeros_like(blocks), blocks, seat, none)
    # An infinite r makes each product infinite or NaN.
    tables = jnp.where(jnp.isposinf(r), n, tables)
    return jnp.where((n >= 0) & (r >= 0), tables, jnp.int32(-1))


def positive_poisson(key: jax.Array, rate: ArrayLike) -> jax.Array:
    r"""A Poisson number, given that it is at least 1.

    .. math:: P(n) = \frac{\lambda^n}{n!\,(e^\lambda - 1)}, \quad n \ge 1, \qquad
        E\,n = \frac{\lambda}{1 - e^{-\lambda}}

    The first event in the unit interval is drawn by the inverse of its distribution,
    those after it are a plain Poisson number: no rejection, however small the rate.

    Args:
      key: typed random key of the default generator, as of ``jax.random.poisson``.
      rate: :math:`\lambda`, floating, at least 0, any shape; at 0, the limit, the
        number is 1.

    Returns:
      int32 of the shape of ``rate``; -1 where that is negative or NaN.

    Raises:
      InputError: ``rate`` is not of a floating type, or ``key`` is no typed key.

    >>> positive_poisson(jax.random.key(0), jnp.array([0.0, 1e-9])).tolist()
    [1, 1]
    """
    check_key("key", key)
    rate = jnp.asarray(rate)
    _check_floating("rate", rate)
    rate = rate.astype(accumulation_dtype(rate.dtype))
    first, rest = jax.random.split(key)
    valid = rate >= 0
    kept = jnp.where(valid, rate, 0)
    drawn = jax.random.uniform(first, kept.shape, kept.dtype)
    # The rate times what is left of the interval after the first event.
    left = jnp.maximum(kept + jnp.log1p(drawn * jnp.expm1(-kept)), 0)
    more = jax.random.poisson(rest, left, dtype=jnp.int32)
    return jnp.where(valid, 1 + more, jnp.int32(-1))


def _check_floating(name: str, x: jax.Array) -> None:
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise InputError(f"{name} must be of a floating type; got {x.dtype}")
