"""Candidates of SupReMix: examples, mixed negatives and mixed positives."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Candidates(NamedTuple):
    """Logits of an anchor's candidates, a row for each anchor.

    Attributes:
      logits: ``(n, m)``.
      distances: between the labels of the anchor and the candidate, ``(n, m)``.
      positive: which of them are positives.
      counts: which of them are candidates at all.
    """

    logits: jax.Array
    distances: jax.Array
    positive: jax.Array
    counts: jax.Array


def examples(
    f: jax.Array, y: jax.Array, here: jax.Array, temperature: jax.Array
) -> Candidates:
    """The other examples as candidates.

    Args:
      f: unit rows, ``(n, D)``.
      y: labels.
      here: which examples count.
      temperature: of the logits.

    Returns:
      Candidates ``(n, n)``.

    >>> y, here = jnp.array([0.0, 1.0]), jnp.array([True, True])
    >>> examples(jnp.eye(2), y, here, jnp.ones(())).counts.tolist()
    [[False, True], [True, False]]
    """
    counts = here[:, None] & here[None] & ~jnp.eye(len(y), dtype=bool)
    apart = jnp.abs(y[:, None] - y[None])
    return Candidates(
        products_of(f, f) / temperature, apart, counts & (apart == 0), counts
    )


def mixed_negatives(
    products: jax.Array, y: jax.Array, here: jax.Array, shares: jax.Array
) -> Candidates:
    """Mixtures of the anchor with every example of another label.

    Args:
      products: logits of anchors and constant examples, ``(n, n)``.
      y: labels.
      here: which examples count.
      shares: of the anchor in each mixture, ``(n, n)``.

    Returns:
      Candidates ``(n, n)``.

    >>> y, here = jnp.array([0.0, 2.0]), jnp.array([True, True])
    >>> mixed_negatives(jnp.eye(2), y, here, jnp.full((2, 2), 0.25)).distances.tolist()
    [[0.0, 1.5], [1.5, 0.0]]
    """
    own = jnp.diagonal(products)[:, None]
    apart = jnp.abs(y[:, None] - y[None])
    counts = here[:, None] & here[None] & (y[:, None] != y[None])
    logits = shares * own + (1 - shares) * products
    return Candidates(logits, (1 - shares) * apart, jnp.zeros_like(counts), counts)


def mixed_positives(
    products: jax.Array, y: jax.Array, here: jax.Array, window: jax.Array
) -> Candidates:
    """Mixtures of all pairs around the anchor that have its label.

    Args:
      products: logits of anchors and constant examples, ``(n, n)``.
      y: labels.
      here: which examples count.
      window: greatest distance of labels, itself left out.

    Returns:
      Candidates ``(n, n^2)``.

    >>> y, here = jnp.array([0.0, 1.0, 2.0]), jnp.ones(3, bool)
    >>> found = mixed_positives(jnp.eye(3), y, here, jnp.array(5.0))
    >>> found.counts.sum(axis=1).tolist()
    [0, 1, 0]
    """
    n = len(y)
    lower, upper = _around(y, here, window)
    counts = (lower[:, :, None] & upper[:, None, :]).reshape(n, n * n)
    pairs = y[:, None, None], y[None, :, None], y[None, None, :]
    share = jnp.broadcast_to(_share(*pairs), (n, n, n)).reshape(n, n * n)
    low = jnp.repeat(products, n, axis=1)
    high = jnp.tile(products, (1, n))
    return _mixed(low, high, share, counts)


def drawn_positives(
    products: jax.Array,
    y: jax.Array,
    here: jax.Array,
    window: jax.Array,
    draws: jax.Array,
) -> Candidates:
    """Mixtures of drawn pairs around the anchor that have its label.

    Args:
      products: logits of anchors and constant examples, ``(n, n)``.
      y: labels.
      here: which examples count.
      window: greatest distance of labels, itself left out.
      draws: uniform numbers in [0, 1), ``(2, n, m)``.

    Returns:
      Candidates ``(n, m)``.

    >>> y, here = jnp.array([0.0, 1.0, 2.0]), jnp.ones(3, bool)
    >>> draws = jnp.zeros((2, 3, 4))
    >>> found = drawn_positives(jnp.eye(3), y, here, jnp.array(5.0), draws)
    >>> found.counts.sum(axis=1).tolist()
    [0, 4, 0]
    """
    lower, upper = _around(y, here, window)
    j, k = _member(lower, draws[0]), _member(upper, draws[1])
    some = jnp.any(lower, axis=1) & jnp.any(upper, axis=1)
    counts = jnp.broadcast_to(some[:, None], j.shape)
    low = jnp.take_along_axis(products, j, axis=1)
    high = jnp.take_along_axis(products, k, axis=1)
    return _mixed(low, high, _share(y[:, None], y[j], y[k]), counts)


def _mixed(
    low: jax.Array, high: jax.Array, share: jax.Array, counts: jax.Array
) -> Candidates:
    logits = share * low + (1 - share) * high
    return Candidates(logits, jnp.zeros_like(logits), counts, counts)


def _share(own: jax.Array, low: jax.Array, high: jax.Array) -> jax.Array:
    """The share of the lower label at which a mixture has the label of the anchor."""
    gap = high - low
    return (high - own) / jnp.where(gap > 0, gap, 1)


def _around(
    y: jax.Array, here: jax.Array, window: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Labels below and above that of each anchor, within the window."""
    pairs = here[:, None] & here[None]
    up = y[None] - y[:, None]
    return pairs & (up < 0) & (-up < window), pairs & (up > 0) & (up < window)


def _member(members: jax.Array, draws: jax.Array) -> jax.Array:
    """A member of each row's set for every uniform number; any index if it is empty."""
    upto = jnp.cumsum(members.astype(jnp.int32), axis=1)
    number = upto[:, -1:]
    rank = jnp.floor(draws * number.astype(draws.dtype)).astype(jnp.int32)
    rank = jnp.minimum(rank, number - 1)
    found = jax.vmap(lambda row, r: jnp.searchsorted(row, r, side="right"))(upto, rank)
    return jnp.minimum(found.astype(jnp.int32), members.shape[1] - 1)


def products_of(f: jax.Array, g: jax.Array) -> jax.Array:
    """Products of all rows with all rows, at full precision.

    Args:
      f: ``(n, D)``.
      g: ``(n, D)``.

    Returns:
      Shape ``(n, n)``.

    >>> products_of(jnp.eye(2), jnp.ones((2, 2))).tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    return jnp.matmul(f, g.T, precision=jax.lax.Precision.HIGHEST)
