"""Reconstruction of tokens by attention within the image and to a template (FOD)."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.applications.texture_anomalies.textures import GRID
from jaxopt_lab.layers import gaussian_prior, prior_deviations
from jaxopt_lab.losses import row_entropy, symmetric_row_divergence

Params = dict[str, Any]
BRANCHES = {
    "reconstruction": ("intra",),
    "intra": ("intra",),
    "inter": ("inter",),
    "full": ("intra", "inter"),
}
"""Attentions of each arm; that of reconstruction has no loss of discrepancy."""


class Branch(NamedTuple):
    """Attention of one branch and the prior that it is compared with.

    Attributes:
      weights: ``(B, heads, tokens, tokens)``.
      prior: likewise.
    """

    weights: jax.Array
    prior: jax.Array


def init(
    rng: np.random.Generator, *, features: int, width: int, heads: int, depth: int
) -> Params:
    """First parameters, the same for every arm.

    Args:
      rng: of the draws, of NumPy: a program with many draws is slow to compile.
      features: of a token.
      width: of the layers.
      heads: of the attentions.
      depth: number of layers.

    Returns:
      The parameters.
    """
    shapes = {"inner": (features, width), "outer": (width, features)}
    shapes |= dict.fromkeys(("places", "template_places"), (GRID**2, width))
    for i in range(depth):
        for name in ("intra", "inter"):
            shapes |= {f"{i}_{name}_{n}": (width, width) for n in "qkv"}
            shapes[f"{i}_{name}_spread"] = (width, 2 * heads)
        shapes |= {f"{i}_up": (width, 4 * width), f"{i}_down": (4 * width, width)}
    scale = lambda name, inputs: 0.02 if "places" in name else inputs**-0.5
    return {
        name: rng.normal(0, scale(name, shape[0]), shape).astype(np.float32)
        for name, shape in shapes.items()
    }


def norm(x: jax.Array) -> jax.Array:
    """Layer normalization without parameters."""
    mean = jnp.mean(x, axis=-1, keepdims=True)
    var = jnp.var(x, axis=-1, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(var + 1e-5)


def attend(
    params: Params, name: str, x: jax.Array, to: jax.Array, heads: int
) -> tuple[jax.Array, Branch]:
    """Attention of tokens without a projection of its output, as in the code."""
    split = lambda z: z.reshape(*z.shape[:-1], heads, -1).swapaxes(-2, -3)
    q, k, v = (
        split(z @ params[f"{name}_{n}"])
        for n, z in zip("qkv", (x, to, to), strict=True)
    )
    scores = q @ jnp.swapaxes(k, -1, -2) / q.shape[-1] ** 0.5
    weights = jax.nn.softmax(scores, axis=-1)
    y = (weights @ v).swapaxes(-2, -3).reshape(x.shape)
    spread = (x @ params[f"{name}_spread"]).reshape(*x.shape[:-1], heads, 2)
    deviations = prior_deviations(spread.swapaxes(-2, -3))
    prior = gaussian_prior(deviations, height=GRID, width=GRID)
    return y, Branch(weights, prior)


def layer(
    params: Params, i: int, x: jax.Array, template: jax.Array, arm: str, heads: int
) -> tuple[jax.Array, dict[str, Branch]]:
    """One layer: the difference of both attentions, or the sum with one of them.

    With both, ``(x + intra) - (x + inter)``: the skip cancels.
    """
    found, outputs = {}, []
    for name in BRANCHES[arm]:
        own = template if name == "inter" else x
        y, found[name] = attend(params, f"{i}_{name}", x, own, heads)
        outputs.append(y)
    new = outputs[0] - outputs[1] if len(outputs) == 2 else x + outputs[0]
    y = norm(new)
    up = jax.nn.relu(y @ params[f"{i}_up"])
    return norm(y + up @ params[f"{i}_down"]), found


def forward(
    params: Params, x: jax.Array, template: jax.Array, arm: str, heads: int, depth: int
) -> tuple[jax.Array, list[dict[str, Branch]]]:
    """Reconstructed features, and the attentions of all layers.

    Args:
      params: of ``init``.
      x: features of tokens, ``(B, tokens, features)``.
      template: mean features of each place, ``(tokens, features)``.
      arm: of ``BRANCHES``.
      heads: of the attentions.
      depth: number of layers.

    Returns:
      Both.
    """
    y = x @ params["inner"] + params["places"]
    to = template @ params["inner"] + params["template_places"]
    to = jnp.broadcast_to(to, y.shape)
    every = []
    for i in range(depth):
        y, found = layer(params, i, y, to, arm, heads)
        every.append(found)
    return y @ params["outer"], every


def errors(x: jax.Array, y: jax.Array) -> jax.Array:
    """Squared error and one minus the cosine of each token."""
    lengths = jnp.sum(x * x, axis=-1) * jnp.sum(y * y, axis=-1)
    cosine = jnp.sum(x * y, axis=-1) / jnp.sqrt(lengths + 1e-6)
    return jnp.mean((x - y) ** 2, axis=-1) + 1 - cosine


def terms(branch: Branch) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Divergence for the prior, divergence for the attention, entropy; means."""
    held = jax.lax.stop_gradient
    weights, prior = branch
    to_prior = symmetric_row_divergence(held(weights), prior)
    to_weights = symmetric_row_divergence(weights, held(prior))
    return jnp.mean(to_prior), jnp.mean(to_weights), jnp.mean(row_entropy(weights))


def loss(x: jax.Array, y: jax.Array, every: list[dict[str, Branch]], arm: str) -> Any:
    """Both losses of the paper, their sum: reconstruction counts twice.

    The prior follows the attention within the image, which flees it and spreads; that
    to the template comes near to a prior that flees, and becomes sharp.
    """
    total = 2 * jnp.mean(errors(x, y))
    if arm == "reconstruction":
        return total
    for found in every:
        for name, branch in found.items():
            sign = 1.0 if name == "intra" else -1.0
            prior, weights, entropy = terms(branch)
            total += 0.5 * sign * (prior - weights - entropy) / len(every)
    return total


def scores(
    x: jax.Array, y: jax.Array, every: list[dict[str, Branch]], arm: str
) -> jax.Array:
    """The anomaly score of each token, ``(B, tokens)``.

    The error times ``max a - a``, a the softmax over tokens of minus the divergence of
    the attention to the template; of that within the image alone, of plus it (ours).
    """
    error = errors(x, y)
    if arm == "reconstruction":
        return error
    name = BRANCHES[arm][-1]
    rows = [symmetric_row_divergence(*found[name]) for found in every]
    apart = jnp.mean(jnp.stack(rows), axis=(0, 2))  # layers and heads
    a = jax.nn.softmax(apart if name == "intra" else -apart, axis=-1)
    return error * (jnp.max(a, axis=-1, keepdims=True) - a)
