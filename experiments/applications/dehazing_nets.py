"""Haze by depth, and a small network of two levels that removes it (DEA-Net)."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.applications import small_nets as nets
from jaxopt_lab.layers import (
    content_guided_attention,
    content_guided_fusion,
    detail_enhanced_conv,
    pixel_shuffle,
    pixel_unshuffle,
)

PLAIN, DETAIL, GUIDED = ARMS = ("plain", "detail enhanced", "and attention")
WIDTHS = {PLAIN: 10, DETAIL: 10, GUIDED: 7}  # about equal numbers once folded
REDUCTION = 4


def depth_of(disparity: np.ndarray) -> np.ndarray:
    """Distances ``1 / disparity``, 1 in the mean and at most 2.

    >>> depth_of(np.array([[1.0, 1.0, 2.0]])).round(2).tolist()
    [[1.2, 1.2, 0.6]]
    """
    depth = 1 / disparity
    return np.minimum(depth / depth.mean(), 2.0)


def hazy(rng: np.random.Generator, images: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Scenes in haze of a random density, between white and grey light.

    Args:
      rng: draws density and light of each image.
      images: J, ``(N, H, W, 3)``.
      depth: z, ``(N, H, W)``.

    Returns:
      ``J t + A (1 - t)``, ``t = exp(-beta z)``, beta in [0.5, 2], A in [0.7, 1].
    """
    count = len(images)
    density, light = rng.uniform(0.5, 2, count), rng.uniform(0.7, 1, count)
    seen = np.exp(-density[:, None, None] * depth)[..., None]
    return images * seen + light[:, None, None, None] * (1 - seen)


def conv_of(width: int, arm: str) -> Any:
    """The first convolution of a block."""
    # Kernels as of the authors' framework, of a third of LeCun's variance: the
    # five of a detail-enhanced convolution add up.
    draw = jax.nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
    return detail_enhanced_conv(width, differences=arm != PLAIN, kernel_init=draw)


def new_net(seed: int, arm: str) -> nets.Params:
    """Parameters of an arm; its output is the input at first."""
    rng, width = np.random.default_rng((seed, 3)), WIDTHS[arm]
    keys = jax.random.split(jax.random.key(seed), 5)
    params: nets.Params = {
        "first": nets.new_conv(rng, 3, 3, width),
        "down": nets.new_conv(rng, 1, 4 * width, width),
        "up": nets.new_conv(rng, 1, width, 4 * width),
        "last": nets.new_conv(rng, 3, width, 3, 0.0),
    }
    for n, level in enumerate(("high", "low")):
        params[level] = {
            "detail": conv_of(width, arm).init(keys[2 * n])[0],
            "plain": nets.new_conv(rng, 3, width, width),
        }
        if arm == GUIDED:
            layer = content_guided_attention(width, reduction=REDUCTION)
            params[level]["guided"] = layer.init(keys[2 * n + 1])[0]
    params["fuse"] = _fusion(width, arm).init(keys[4])[0]
    return params


def clear(params: nets.Params, x: jax.Array, *, arm: str) -> jax.Array:
    """The image without haze."""
    high = _block(params["high"], nets.conv(params["first"], x), arm)
    low = nets.conv(params["down"], pixel_unshuffle(high, 2))
    low = nets.conv(params["up"], _block(params["low"], low, arm))
    both = jnp.concatenate([high, pixel_shuffle(low, 2)], -1)
    fused = _fusion(high.shape[-1], arm).apply(params["fuse"], {}, both, train=True)[0]
    return x + nets.conv(params["last"], fused)


def _block(params: nets.Params, x: jax.Array, arm: str) -> jax.Array:
    width = x.shape[-1]
    y = conv_of(width, arm).apply(params["detail"], {}, x, train=True)[0]
    y = nets.conv(params["plain"], jax.nn.relu(y) + x)
    if arm == GUIDED:
        layer = content_guided_attention(width, reduction=REDUCTION)
        y = layer.apply(params["guided"], {}, y, train=True)[0]
    return y + x


def _fusion(width: int, arm: str) -> Any:
    return content_guided_fusion(2 * width, reduction=REDUCTION, attend=arm == GUIDED)
