"""Winner-take-all column-row sampling: a few rows that stand for all of them."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core.trees import accumulation_dtype


class Rows(NamedTuple):
    """Chosen rows, some of them possibly twice.

    Attributes:
      index: ``(k,)``, their numbers.
      weight: ``(k,)``, by which each counts in a sum over all rows.
    """

    index: jax.Array
    weight: jax.Array


def rows_kept(rows: int, ratio: float, min_rows: int = 10) -> int:
    """The number k of rows that are kept of ``rows``.

    Args:
      rows: of a batch, positions included.
      ratio: the part of them that is kept.
      min_rows: at least as many, if there are.

    Returns:
      The largest of ``ratio * rows``, rounded down, and ``min_rows``; at most ``rows``.

    >>> rows_kept(1000, 0.3), rows_kept(20, 0.3), rows_kept(4, 0.3)
    (300, 10, 4)
    """
    return min(rows, max(int(rows * ratio), min_rows, 1))


def probabilities(norms: jax.Array, grad_norms: jax.Array | None = None) -> jax.Array:
    r"""The probability of each row, as its share of the product.

    .. math:: p_j \propto |x_j| \, q_j + 10^{-8} \text{ where } x_j \ne 0,
        \text{ else } 0.

    Args:
      norms: :math:`|x_j|`, ``(n,)``.
      grad_norms: :math:`q_j`, guesses of the norms of the rows of the gradient, not
        negative; ``None``: all 1.

    Returns:
      ``(n,)``; they add up to 1 (not so in the released code, by the small summand).
      All 0 where there are only rows of zeros.

    >>> jax.jit(probabilities)(jnp.array([1.0, 3.0])).round(2).tolist()
    [0.25, 0.75]
    """
    size = norms if grad_norms is None else norms * grad_norms.astype(norms.dtype)
    # A guess of 0 must not rule a row out: the estimate would be biased.
    size = jnp.where(norms == 0, 0, size + jnp.asarray(1e-8, norms.dtype))
    total = jnp.sum(size)
    return size / jnp.where(total == 0, 1, total)


def deterministic_count(ordered: jax.Array, k: int) -> jax.Array:
    r"""The number of the most probable rows that are always kept.

    .. math:: c = \arg\min_{0 \le c < k} \frac{1 - \sum_{i \le c} p_i}{k - c}.

    Args:
      ordered: probabilities from the largest on, ``(n,)``.
      k: rows kept, at most n.

    Returns:
      c, an integer scalar.

    >>> run = jax.jit(deterministic_count, static_argnums=1)
    >>> int(run(jnp.array([0.9, 0.05, 0.05]), 2))
    1
    """
    rest = _rest(ordered)[:k]
    left = jnp.asarray(k, jnp.int32) - jnp.arange(k, dtype=jnp.int32)
    return jnp.argmin(rest / left.astype(ordered.dtype)).astype(jnp.int32)


def sampled_rows(p: jax.Array, k: int, uniform: jax.Array) -> Rows:
    r"""k rows whose weighted sum has the sum over all rows as its mean.

    The c most probable rows (``deterministic_count``) count once each; the others are
    drawn with replacement in proportion to p, each with the weight
    :math:`(1 - P_C) / ((k - c) p_j)`, :math:`P_C` the probability of the first c.

    Args:
      p: probabilities, ``(n,)``; rows of probability 0 are never drawn.
      k: rows kept, from 1 to n.
      uniform: independent uniform numbers in [0, 1), ``(k,)``; those of the c rows are
        not used.

    Returns:
      The rows.

    >>> run = jax.jit(sampled_rows, static_argnums=1)
    >>> rows = run(jnp.array([0.1, 0.8, 0.1]), 2, jnp.array([0.0, 0.9]))
    >>> rows.index.tolist(), rows.weight.round().tolist()
    ([1, 0], [1.0, 2.0])
    """
    n = p.shape[0]
    order = jnp.argsort(p, descending=True, stable=True).astype(jnp.int32)
    ordered = p[order]
    rest = _rest(ordered)
    count = deterministic_count(ordered, k)
    mass = rest[count]
    slot = jnp.arange(k, dtype=jnp.int32)
    # The rest from the smallest on: small probabilities keep their digits. Row i takes
    # the numbers from rest[i + 1] to rest[i].
    wanted = uniform.astype(p.dtype) * mass
    below = jnp.searchsorted(jnp.flip(rest), wanted, side="right").astype(jnp.int32)
    drawn = jnp.clip(n - 1 - below, count, n - 1)
    fixed = slot < count
    at = jnp.where(fixed, slot, drawn)
    draws = (jnp.asarray(k, jnp.int32) - count).astype(p.dtype)
    chance = draws * ordered[drawn]
    # Rows of zeros alone: whatever is kept counts for nothing.
    share = jnp.where(chance > 0, mass / jnp.where(chance > 0, chance, 1), 0)
    return Rows(order[at], jnp.where(fixed, 1, share).astype(p.dtype))


def _rest(ordered: jax.Array) -> jax.Array:
    """The probability of all rows from each one on, ``(n,)``."""
    return jnp.flip(jnp.cumsum(jnp.flip(ordered)))


def norms_of(x: jax.Array) -> jax.Array:
    """Euclidean norms of rows, in float32 or float64.

    Args:
      x: ``(n, features)``.

    Returns:
      ``(n,)``.

    >>> norms_of(jnp.array([[3.0, 4.0]])).tolist()
    [5.0]
    """
    wide = x.astype(accumulation_dtype(x.dtype))
    return jnp.sqrt(jnp.sum(wide * wide, axis=-1))
