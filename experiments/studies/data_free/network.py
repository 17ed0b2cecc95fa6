"""A convolutional network with batch normalizations, in floats and on grids."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from experiments.studies.dense_nets import normals
from experiments.studies.normed import patches
from jaxopt_lab.quantize import Normalized

STRIDES = 1, 2, 1, 2
SHAPE = 8, 8, 1
_EPS = 1e-5
_KEPT = 0.9
Convolution = Callable[[jax.Array, jax.Array, int], jax.Array]


def product(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """A convolution of 3 x 3 as a product, for loops."""
    return patches(x, stride) @ kernel


def convolution(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """The same as an operation of XLA, whose window can swing."""
    return jax.lax.conv_general_dilated(
        x,
        kernel.reshape(3, 3, x.shape[-1], -1),
        (stride, stride),
        ((1, 1), (1, 1)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def init(key: jax.Array, channels: tuple[int, ...]) -> tuple[Any, Any]:
    """Parameters and running statistics.

    Args:
      key: of the draws.
      channels: of the convolutions.

    Returns:
      ``({"kernel_0", "scale_0", "offset_0", ..., "head"}, [(mean, variance), ...])``.
    """
    fans = [9 * c for c in (1, *channels[:-1])]
    shapes = [*zip(fans, channels, strict=True), (4 * channels[-1], 10)]
    drawn = [w * (2 / w.shape[0]) ** 0.5 for w in normals(key, *shapes)]
    params = {f"kernel_{i}": w for i, w in enumerate(drawn[:-1])}
    for i, c in enumerate(channels):
        params[f"scale_{i}"], params[f"offset_{i}"] = jnp.ones(c), jnp.zeros(c)
    stats = [(jnp.zeros(c), jnp.ones(c)) for c in channels]
    return {**params, "head": drawn[-1]}, stats


def trained_scores(params: Any, stats: Any, x: jax.Array) -> tuple[jax.Array, Any]:
    """Scores by the statistics of the batch, and the next running ones."""
    made = []
    for i, (mean, variance) in enumerate(stats):
        y = product(x, params[f"kernel_{i}"], STRIDES[i])
        own = jnp.mean(y, axis=(0, 1, 2)), jnp.var(y, axis=(0, 1, 2))
        pairs = zip((mean, variance), own, strict=True)
        made.append(tuple(_KEPT * old + (1 - _KEPT) * new for old, new in pairs))
        x = jax.nn.relu(_normalized(params, i, y, *own))
    return x.reshape(len(x), -1) @ params["head"], made


def _normalized(
    params: Any, i: int, y: jax.Array, mean: jax.Array, variance: jax.Array
) -> jax.Array:
    factor = params[f"scale_{i}"] * jax.lax.rsqrt(variance + _EPS)
    return (y - mean) * factor + params[f"offset_{i}"]


def layer(params: Any, stats: Any, i: int, x: jax.Array) -> jax.Array:
    """One convolution in evaluation, with what follows it, or the dense layer."""
    if i == len(stats):
        return x.reshape(len(x), -1) @ params["head"]
    y = product(x, params[f"kernel_{i}"], STRIDES[i])
    return jax.nn.relu(_normalized(params, i, y, *stats[i]))


def scores(params: Any, stats: Any, x: jax.Array) -> jax.Array:
    """Scores in evaluation, ``(B, 10)``."""
    for i in range(len(stats) + 1):
        x = layer(params, stats, i, x)
    return x


def observe(
    weights: Any, x: jax.Array, conv: Convolution = product
) -> list[Normalized]:
    """The input of each normalization in evaluation, with its running statistics.

    Args:
      weights: parameters and statistics.
      x: inputs.
      conv: of the convolutions.

    Returns:
      What ``distill_inputs`` takes.
    """
    params, stats = weights
    found = []
    for i, (mean, variance) in enumerate(stats):
        y = conv(x, params[f"kernel_{i}"], STRIDES[i])
        found.append(Normalized(y, mean, variance))
        x = jax.nn.relu(_normalized(params, i, y, mean, variance))
    return found
