"""Proxies of new classes: imprinted from features, beside the old ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import jax
import jax.numpy as jnp

from jaxopt_lab.core.checks import check_integer
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.k_means import lloyd, spread_start
from jaxopt_lab.core.options import COUNT, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.core.unit import unit_rows


def grow_proxies(old: jax.Array, new: jax.Array) -> jax.Array:
    """Proxies of old and new classes.

    Args:
      old: ``(C, K, D)``, left as they are, to the bit.
      new: ``(N, K, D)``.

    Returns:
      ``(C + N, K, D)``, of the type of the old ones. The logits of the old classes stay
      as they were, to the rounding of another product of matrices.

    Raises:
      InputError: another number of proxies or features.

    >>> grow_proxies(jnp.ones((2, 1, 3)), jnp.zeros((1, 1, 3))).shape
    (3, 1, 3)
    """
    if old.ndim != 3 or new.ndim != 3 or old.shape[1:] != new.shape[1:]:
        raise InputError(
            f"new proxies must be (classes, *{old.shape[1:]}) as the old ones are; got "
            f"{new.shape}"
        )
    return jnp.concatenate([old, new.astype(old.dtype)])


def imprint_proxies(
    key: jax.Array,
    features: Sequence[jax.Array],
    *,
    proxies: Annotated[int, COUNT] = 10,
    like: jax.Array | None = None,
    sweeps: Annotated[int, COUNT] = 20,
) -> jax.Array:
    """Proxies of new classes: the centres of clusters of their features.

    Features are scaled to the length 1 and clustered by k-means, class by class; the
    centres are scaled by the mean length of the old proxies.

    Args:
      key: of the first centres.
      features: of each new class the features of its examples, ``(n, D)``, n >= 1.
      proxies: clusters of a class, K. A class of fewer examples repeats some.
      like: the old proxies, ``(C, K, D)``; ``None``: of the length 1.
      sweeps: of k-means.

    Returns:
      ``(classes, K, D)``, float32 or float64.

    Raises:
      InputError: no class, a class without examples, or an option out of range.

    Cost: that of k-means; one program for each number of examples.

    >>> features = [jnp.array([[2.0, 0.0], [3.0, 0.0]])]
    >>> imprint_proxies(jax.random.key(0), features, proxies=1).tolist()
    [[[1.0, 0.0]]]

    Source: Douillard et al., "PODNet", arXiv:2004.13513, and its code.
    """
    check_arguments(imprint_proxies, {"proxies": proxies, "sweeps": sweeps})
    if not features:
        raise InputError("features must be those of at least one class; got none")
    centres = []
    for number, one in enumerate(features):
        if one.ndim != 2 or not one.shape[0]:
            raise InputError(
                f"the features of class {number} must be (examples, D), at least one "
                f"example; got shape {one.shape}"
            )
        own = jax.random.fold_in(key, number)
        centres.append(_centres(own, one, proxies, sweeps))
    found = jnp.stack(centres)
    if like is None:
        return found
    lengths = jnp.linalg.norm(like.astype(found.dtype), axis=-1)
    return found * jnp.mean(lengths)


def class_means(features: jax.Array, labels: jax.Array, classes: int) -> jax.Array:
    """Means of each class's features of length 1, as proxies of the nearest mean.

    Args:
      features: ``(n, D)``.
      labels: integers ``(n,)``.
      classes: their number, C.

    Returns:
      ``(C, 1, D)``, of length 1; zeros for a class without examples. With
      ``local_similarity`` they classify by the nearest mean (NME).

    >>> class_means(jnp.eye(2), jnp.array([1, 1]), 2).round(3).tolist()
    [[[0.0, 0.0]], [[0.7070000171661377, 0.7070000171661377]]]
    """
    check_integer("classes", classes, low=1)
    h = unit_rows(features.astype(accumulation_dtype(features.dtype)))
    sums = jax.ops.segment_sum(h, labels, num_segments=classes)
    return unit_rows(sums)[:, None]


def _centres(key: jax.Array, features: jax.Array, count: int, sweeps: int) -> jax.Array:
    h = unit_rows(features.astype(accumulation_dtype(features.dtype)))
    start = spread_start(key, h, count)
    return lloyd(h, start, jnp.full(len(h), True), sweeps)
