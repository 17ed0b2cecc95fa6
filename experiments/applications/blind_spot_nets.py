"""A small conditional blind-spot network, its losses, and noise for it."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.applications import small_nets as nets
from jaxopt_lab.layers import batch_to_space, centre_mask, space_to_batch
from jaxopt_lab.losses import blind_spot_loss, random_subsample

BLIND, COARSE, FULL = ARMS = ("blind spot", "coarse grid", "full loss")
SIDES, STRIDE = (3, 5), 5


def noise_of(rng: np.random.Generator, kind: str, shape: tuple[int, ...]) -> np.ndarray:
    """Normal noise of variance 1, of each pixel by itself or a mean of 3 x 3."""
    if kind == "independent":
        return rng.normal(size=shape)
    white = rng.normal(size=(shape[0], shape[1] + 2, shape[2] + 2))
    parts = [white[:, i : i + shape[1], j : j + shape[2]] for i, j in np.ndindex(3, 3)]
    return np.sum(parts, axis=0) / 3


def new_net(seed: int, width: int, blocks: int) -> nets.Params:
    """Parameters of the network, for both of its modes."""
    rng = np.random.default_rng((seed, 3))
    params: nets.Params = {"first": nets.new_conv(rng, 1, 1, width)}
    for side in SIDES:
        params[f"branch {side}"] = {
            "masked": nets.new_conv(rng, side, width, width),
            "mixed": nets.new_conv(rng, 1, width, width),
            "blocks": [
                {
                    "wide": nets.new_conv(rng, 3, width, width),
                    "mixed": nets.new_conv(rng, 1, width, width),
                }
                for _ in range(blocks)
            ],
        }
    params["joined"] = nets.new_conv(rng, 1, 2 * width, width)
    params["last"] = nets.new_conv(rng, 1, width, 1)
    return params


def denoised(params: nets.Params, x: jax.Array, *, blind: bool) -> jax.Array:
    """The network's output; blind, it does not depend on its own pixel."""
    x = jax.nn.relu(nets.conv(params["first"], x))
    found = []
    for side in SIDES:
        own = params[f"branch {side}"]
        mask = centre_mask(side) if blind else None
        y = jax.nn.relu(nets.conv(own["masked"], x, mask=mask))
        y = jax.nn.relu(nets.conv(own["mixed"], y))
        for block in own["blocks"]:
            wide = nets.conv(block["wide"], y, dilation=side // 2 + 1)
            y = y + jax.nn.relu(nets.conv(block["mixed"], jax.nn.relu(wide)))
        found.append(y)
    joined = nets.conv(params["joined"], jnp.concatenate(found, -1))
    return nets.conv(params["last"], jax.nn.relu(joined))


def loss(params: nets.Params, x: Any, key: Any, strength: Any, *, arm: str) -> Any:
    """The loss of an arm on noisy images alone."""
    blind = functools.partial(denoised, params, blind=True)
    if arm == BLIND:
        return jnp.mean(jnp.abs(blind(x) - x))
    outputs = batch_to_space(blind(space_to_batch(x, STRIDE)), STRIDE)
    if arm == COARSE:
        return jnp.mean(jnp.abs(outputs - x))
    choices, small = random_subsample(jax.random.wrap_key_data(key), x)
    losses = blind_spot_loss(
        outputs,
        x,
        unmasked=denoised(params, x, blind=False),
        masked_of_sub=blind(small),
        choices=choices,
        strength=strength,
    )
    return jnp.mean(losses)
