"""Small dense networks of the studies, and their scores."""

from __future__ import annotations

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax


def mean_cross_entropy(scores: jax.Array, labels: jax.Array) -> jax.Array:
    """The mean cross entropy of labels.

    Args:
      scores: ``(examples, classes)``.
      labels: ``(examples,)``.

    Returns:
      A number.
    """
    found = optax.softmax_cross_entropy_with_integer_labels(scores, labels)
    return jnp.mean(found)


def accuracy(scores: jax.Array, labels: jax.Array) -> jax.Array:
    """The part of the examples whose largest score is that of their label.

    Args:
      scores: ``(..., examples, classes)``.
      labels: ``(..., examples)``.

    Returns:
      float32, ``(...)``.
    """
    right = jnp.argmax(scores, axis=-1) == labels
    return jnp.mean(right, axis=-1, dtype=jnp.float32)


def dense_params(key: jax.Array, *sizes: int) -> list[dict[str, jax.Array]]:
    """He's normal kernels, not truncated, and zero biases of dense layers.

    Args:
      key: PRNG key.
      *sizes: units of the input and of every layer.

    Returns:
      A kernel and a bias a layer.
    """
    pairs = itertools.pairwise(sizes)
    return [
        {"kernel": w * (2 / w.shape[0]) ** 0.5, "bias": jnp.zeros(w.shape[1])}
        for w in normals(key, *pairs)
    ]


def normals(key: jax.Array, *shapes: tuple[int, ...]) -> list[jax.Array]:
    """Arrays of standard normal numbers, from one draw.

    A draw takes XLA about a second to compile, however small it is.

    Args:
      key: PRNG key.
      *shapes: of the arrays.

    Returns:
      The arrays.
    """
    ends = np.cumsum([math.prod(shape) for shape in shapes])
    parts = jnp.split(jax.random.normal(key, (int(ends[-1]),)), ends[:-1])
    return [p.reshape(shape) for p, shape in zip(parts, shapes, strict=True)]


def dense(params: list[dict[str, jax.Array]], x: jax.Array) -> jax.Array:
    """Dense layers with ReLU between them.

    Args:
      params: of ``dense_params``.
      x: ``(..., inputs)``.

    Returns:
      ``(..., outputs)``.
    """
    for i, layer in enumerate(params):
        x = x @ layer["kernel"] + layer["bias"]
        x = jax.nn.relu(x) if i + 1 < len(params) else x
    return x
