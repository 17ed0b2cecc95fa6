"""Small networks with Wiener deconvolution of images and of features; their loss."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.applications import small_nets as nets
from jaxopt_lab.layers import learned_wiener
from jaxopt_lab.losses import ssim_loss

START = 0.3


def new_net(seed: int, arm: str, width: int) -> nets.Params:
    """Parameters of an arm, whose denoiser is the identity at first.

    Args:
      seed: of the draw.
      arm: ``"image"``, ``"feature"`` or ``"both"``.
      width: channels of the hidden layers.

    Returns:
      A tree of arrays.
    """
    rng = np.random.default_rng((seed, 3))
    params: nets.Params = {}
    if arm != "feature":
        params["denoise"] = {
            "first": nets.new_conv(rng, 3, 2, width),
            "block": nets.new_block(rng, width),
            "last": nets.new_conv(rng, 3, width, 1, 0.0),
        }
        params["image"] = {"log_factor": np.full(1, np.log(START), np.float32)}
    if arm != "image":
        params["features"] = {
            "first": nets.new_conv(rng, 5, 1, width),
            "block": nets.new_block(rng, width),
        }
        params["feature"] = {"log_factor": np.full(width, np.log(START), np.float32)}
    inputs = {"image": 1, "feature": width, "both": width + 1}[arm]
    params["fuse"] = {
        "first": nets.new_conv(rng, 3, inputs, width),
        "block": nets.new_block(rng, width),
        "last": nets.new_conv(rng, 3, width, 1),
    }
    return params


def restore(
    params: nets.Params, seen: jax.Array, kernels: jax.Array
) -> tuple[jax.Array, jax.Array | None]:
    """The sharp image, and the denoised one where the arm has an image branch."""
    found, denoised = [], None
    if "image" in params:
        own = params["denoise"]
        noise = jnp.sqrt(jnp.maximum(seen, 0.01))  # a map of its level
        x = nets.conv(own["first"], jnp.concatenate([seen, noise], -1))
        x = nets.block(own["block"], jax.nn.relu(x))
        denoised = seen + nets.conv(own["last"], x)
        found.append(_deconvolved(params["image"], denoised, kernels))
    if "feature" in params:
        own = params["features"]
        x = nets.block(own["block"], nets.conv(own["first"], seen))
        found.append(_deconvolved(params["feature"], x, kernels))
    own = params["fuse"]
    joined = jnp.concatenate(found, -1)
    x = nets.block(own["block"], jax.nn.relu(nets.conv(own["first"], joined)))
    # Nothing is added to it: an arm that began at an image would have a lead, and the
    # noise of the image that is seen would stay.
    return nets.conv(own["last"], x), denoised


def loss(params: nets.Params, sharp: Any, blurred: Any, seen: Any, kernels: Any) -> Any:
    """The paper's loss at one scale, within the border, and that of the denoiser."""
    found, denoised = restore(params, seen, kernels)
    found, sharp = (inside(x, kernels) for x in (found, sharp))
    gap = found - sharp
    total = 0.4 * jnp.mean(jnp.abs(gap)) + 0.2 * jnp.mean(gap**2)
    total += 0.2 * jnp.mean(ssim_loss(found, sharp)) + 0.2 * variation(found)
    if denoised is not None:
        gap = denoised - blurred
        part = 0.5 * jnp.mean(jnp.abs(gap)) + 0.3 * jnp.mean(gap**2)
        total += 0.5 * (part + 0.2 * variation(denoised))
    return total


def inside(x: Any, kernels: Any) -> Any:
    """Images without a border of half a kernel.

    What was blurred there lies in part beyond the image; and the zeros around the
    images of the last convolutions reach as far.

    >>> inside(np.zeros((1, 12, 12, 1)), np.zeros((1, 9, 9))).shape
    (1, 4, 4, 1)
    """
    edge = kernels.shape[-1] // 2
    return x[:, edge : x.shape[1] - edge, edge : x.shape[2] - edge]


def variation(x: jax.Array) -> jax.Array:
    """Mean absolute difference of neighbours."""
    parts = (jnp.mean(jnp.abs(jnp.diff(x, axis=axis))) for axis in (1, 2))
    return sum(parts, jnp.zeros(()))


def _wiener(features: int) -> Any:
    return learned_wiener(features, start=START)


def _deconvolved(params: Any, x: jax.Array, kernels: jax.Array) -> jax.Array:
    return _wiener(x.shape[-1]).apply(params, {}, (x, kernels), train=True)[0]
