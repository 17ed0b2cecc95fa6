"""A small vision transformer whose attention is an argument."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from experiments.studies.dense_nets import normals
from experiments.studies.linear_attention.config import Config
from jaxopt_lab.layers.attention.linear_attention import (
    linear_attention,
    norm_aware_features,
)

SIDE = 8
CLASSES = 10
Attend = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]
"""Of queries, keys and values ``(..., tokens, d)``."""


def rectified(q: jax.Array, k: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Rectified queries and keys, the features of plain linear attention."""
    return jax.nn.relu(q), jax.nn.relu(k)


def softmax_weights(q: jax.Array, k: jax.Array) -> jax.Array:
    """The weights of softmax attention, ``(..., queries, keys)``."""
    return jax.nn.softmax(q @ k.swapaxes(-1, -2) / q.shape[-1] ** 0.5)


def linear_weights(features: Any) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """The weights of linear attention, of values that are the unit vectors.

    Args:
      features: ``features(q, k)``, those of queries and keys.

    Returns:
      ``weights(q, k)``, ``(..., queries, keys)``.
    """

    def weights(q: jax.Array, k: jax.Array) -> jax.Array:
        eye = jnp.broadcast_to(jnp.eye(k.shape[-2]), (*k.shape[:-1], k.shape[-2]))
        queries, keys = features(q, k)
        return linear_attention(queries, keys, eye)

    return weights


ATTENTIONS: Mapping[str, Attend] = {
    "softmax": lambda q, k, v: softmax_weights(q, k) @ v,
    "norm-aware": lambda q, k, v: linear_attention(*norm_aware_features(q, k), v),
    "rectified": lambda q, k, v: linear_attention(*rectified(q, k), v),
}
WEIGHTS: Mapping[str, Callable[[jax.Array, jax.Array], jax.Array]] = {
    "softmax": softmax_weights,
    "norm-aware": linear_weights(norm_aware_features),
    "rectified": linear_weights(rectified),
}


def patches(images: jax.Array, side: int) -> jax.Array:
    """Square patches of flat digits as tokens.

    Args:
      images: ``(n, 64)``.
      side: of a patch.

    Returns:
      ``(n, tokens, side * side)``, row by row.
    """
    count = SIDE // side
    cut = images.reshape(-1, count, side, count, side).swapaxes(2, 3)
    return cut.reshape(len(images), count**2, side**2)


def init(key: jax.Array, config: Config) -> dict[str, Any]:
    """The parameters of the transformer."""
    width, square = config.width, config.side**2
    shapes = [(square, width), (SIDE**2 // square, width)]
    for _ in range(config.depth):
        shapes += [(width, 3 * width), (width, width)]
        shapes += [(width, 2 * width), (2 * width, width)]
    embed, places, *rest = normals(key, *shapes)

    def dense(w: jax.Array) -> dict[str, jax.Array]:
        return {"kernel": w / w.shape[0] ** 0.5, "bias": jnp.zeros(w.shape[1])}

    blocks = [
        dict(
            zip(("qkv", "out", "up", "down"), map(dense, rest[i : i + 4]), strict=True)
        )
        for i in range(0, len(rest), 4)
    ]
    head = {"kernel": jnp.zeros((width, CLASSES)), "bias": jnp.zeros(CLASSES)}
    places = 0.1 * places
    return {"embed": dense(embed), "places": places, "blocks": blocks, "head": head}


def scores(
    params: dict[str, Any], x: jax.Array, config: Config, attend: Attend
) -> tuple[jax.Array, list[tuple[jax.Array, jax.Array]]]:
    """The scores of classes, and the queries and keys of every block.

    Args:
      params: of ``init``.
      x: flat digits.
      config: the size of the study.
      attend: the attention.

    Returns:
      ``(n, classes)`` and pairs ``(n, heads, tokens, d)``.
    """
    affine = lambda p, x: x @ p["kernel"] + p["bias"]
    norm = lambda x: jax.nn.standardize(x, axis=-1, epsilon=1e-5)
    h, pairs = affine(params["embed"], patches(x, config.side)), []
    h = h + params["places"]
    for block in params["blocks"]:
        parts = affine(block["qkv"], norm(h)).reshape(*h.shape[:2], 3, config.heads, -1)
        q, k, v = (part.swapaxes(1, 2) for part in jnp.moveaxis(parts, 2, 0))
        pairs.append((q, k))
        mixed = attend(q, k, v).swapaxes(1, 2).reshape(h.shape)
        h = h + affine(block["out"], mixed)
        h = h + affine(block["down"], jax.nn.gelu(affine(block["up"], norm(h))))
    return affine(params["head"], jnp.mean(norm(h), axis=1)), pairs
