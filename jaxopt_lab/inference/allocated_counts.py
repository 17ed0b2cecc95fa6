"""Counts spread over the factors of a product, exactly, event by event."""
# Its examples wait for pytest --full.

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxopt_lab.core.argument_checks import check_key


def allocate_counts(
    key: jax.Array, counts: jax.Array, scores: jax.Array, loadings: jax.Array
) -> tuple[jax.Array, jax.Array]:
    r"""Sums of multinomial draws over the factors.

    .. math:: (n_{tv1}, \dots, n_{tvK}) \sim \operatorname{Mult}(n_{tv}, p_{tv}),
        \qquad p_{tvk} \propto \theta_{tk} \phi_{vk}

    Each event of each count chooses its factor by the inverse of the distribution, in
    blocks of events: neither ``(T, V, K)`` numbers nor a bound of the counts is needed.

    Args:
      key: typed random key.
      counts: integers of at least 0, ``(T, V)``; all together below 2**31.
      scores: positive, ``(T, K)``.
      loadings: positive, ``(V, K)``.

    Returns:
      int32 :math:`\sum_v n_{tvk}`, ``(T, K)``, and :math:`\sum_t n_{tvk}`, ``(V, K)``.

    Cost: a uniform number and K exponentials an event, memory of at most 1,024 K.

    >>> counts = jnp.array([[2, 3]])
    >>> sums = allocate_counts(
    ...     jax.random.key(0), counts, jnp.ones((1, 1)), jnp.ones((2, 1))
    ... )
    >>> [x.tolist() for x in sums]
    [[[5]], [[2], [3]]]
    """
    check_key("key", key)
    steps, features = counts.shape
    factors, dtype = scores.shape[1], scores.dtype
    block = min(max(counts.size, 32), 1024)
    ends = jnp.cumsum(counts.reshape(-1), dtype=jnp.int32)
    log_scores, log_loadings = jnp.log(scores), jnp.log(loadings).astype(dtype)
    within = jnp.arange(block, dtype=jnp.int32)

    def choose(i: jax.Array, sums: tuple[jax.Array, jax.Array]):
        by_step, by_feature = sums
        event = i * block + within
        counted = (event < ends[-1]).astype(jnp.int32)
        cell = jnp.searchsorted(ends, event, side="right").astype(jnp.int32)
        cell = jnp.minimum(cell, counts.size - 1)
        t, v = cell // features, cell % features
        # In logarithms: the product of two small numbers would be 0.
        logits = log_scores[t] + log_loadings[v]
        chances = jnp.exp(logits - jnp.max(logits, axis=1, keepdims=True))
        levels = jnp.cumsum(chances, axis=1)
        drawn = jax.random.uniform(jax.random.fold_in(key, i), (block,), dtype)
        below = levels <= (drawn * levels[:, -1])[:, None]
        k = jnp.minimum(jnp.sum(below, axis=1, dtype=jnp.int32), factors - 1)
        return by_step.at[t, k].add(counted), by_feature.at[v, k].add(counted)

    blocks = (ends[-1] + (block - 1)) // block
    nothing = (
        jnp.zeros((steps, factors), jnp.int32),
        jnp.zeros((features, factors), jnp.int32),
    )
    return jax.lax.fori_loop(jnp.zeros_like(blocks), blocks, choose, nothing)
