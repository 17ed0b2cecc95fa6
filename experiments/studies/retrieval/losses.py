"""The losses of this study, made of parts of the package."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from experiments.studies.retrieval.config import Config
from jaxopt_lab.core.unit import unit_rows
from jaxopt_lab.losses import (
    margin_nca,
    multi_positive_retrieval,
    similarity_ranking,
    threshold_consistent_margin,
)

KNOWN = 901
"""Digits of the classes 0 to 4."""


def of_proxies(
    x: jax.Array,
    labels: jax.Array,
    proxies: jax.Array,
    weight: jax.Array,
    config: Config,
) -> jax.Array:
    """Cross-entropy of the scaled cosines to proxies, and the margins of all pairs.

    Args:
      x: embeddings, ``(B, features)``.
      labels: ``(B,)``.
      proxies: ``(5, features)``.
      weight: of the margins.
      config: has the scale.

    Returns:
      A number.
    """
    cosines = unit_rows(x) @ unit_rows(proxies).T
    plain = margin_nca(
        cosines, labels, scale=config.scale, margin=0.0, form="softmax", hinge=False
    )
    return jnp.mean(plain) + weight * threshold_consistent_margin(x, labels)


def drawn(
    key: jax.Array, labels: jax.Array, steps: int, groups: int, each: int
) -> jax.Array:
    """Places of groups of digits, some of each class.

    Args:
      key: PRNG key.
      labels: from 0 to 4, sorted.
      steps: number of batches.
      groups: in a batch.
      each: digits of a class in a group.

    Returns:
      int32, ``(steps, groups, 5, each)``.
    """
    sizes = jnp.bincount(labels, length=5)
    first = jnp.cumsum(sizes) - sizes
    shape = (steps, groups, 5, each)
    return first[:, None] + jax.random.randint(key, shape, 0, sizes[:, None])


def contrastive(x: jax.Array, temperature: float) -> jax.Array:
    """CoDiEmb's loss of retrieval in every group, whose classes are the queries.

    Args:
      x: embeddings of length 1, ``(groups, 5, 1 + positives, features)``.
      temperature: of the cosines.

    Returns:
      A number.
    """
    of_group = lambda group: multi_positive_retrieval(
        group[:, 0],
        passages=group[:, 1:],
        positives=group.shape[1] - 1,
        temperature=temperature,
    )
    return jnp.mean(jax.vmap(of_group)(x))


def ranked(
    embed: Callable[[jax.Array], jax.Array], images: jax.Array, key: jax.Array
) -> jax.Array:
    """CoDiEmb's loss of similarities of images to mixtures, scored by their shares.

    Args:
      embed: gives embeddings of length 1.
      images: ``(groups, 5, ..., pixels)``; those of one class are mixed with those of
        the next.
      key: of the shares.

    Returns:
      A number.
    """
    first, second = images[:, :, 0], jnp.roll(images[:, :, 0], 1, axis=1)
    shares = jax.random.uniform(key, first.shape[:2])
    mixed = shares[..., None] * first + (1 - shares[..., None]) * second
    alike = jnp.sum(embed(first) * embed(mixed), axis=-1)
    return similarity_ranking(alike.reshape(-1), shares.reshape(-1))
