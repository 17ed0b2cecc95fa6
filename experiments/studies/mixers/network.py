"""A network that mixes tokens and predicts those that are masked."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from experiments.studies.dense_nets import normals
from experiments.studies.mixers.config import Config
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.layers import hydra_mixer

NORMAL = jax.nn.initializers.variance_scaling(1.0, "fan_in", "normal")


def mixer(config: Config, arm: str) -> Functional:
    """The mixer of an arm.

    Args:
      config: the size of the study.
      arm: a kind of ``hydra_mixer``.

    Returns:
      The layer.
    """
    kind: Any = arm
    return hydra_mixer(
        config.width,
        mixer=kind,
        d_state=config.d_state,
        head_dim=config.head_dim,
        length=config.length,
        chunk=config.length,
        kernel_init=NORMAL,
    )


def size(tree: Any) -> int:
    """The number of numbers of a tree of arrays or shapes."""
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def hidden(config: Config, arm: str) -> int:
    """Units of the perceptron behind a mixer, so that all arms have equal sizes.

    Args:
      config: the size of the study.
      arm: of it.

    Returns:
      The number; what is left over is less than one unit.
    """
    count = lambda name: size(
        jax.eval_shape(mixer(config, name).init, jax.random.key(0))[0]
    )
    most = max(map(count, config.arms))
    return config.hidden + (most - count(arm)) // (2 * config.width)


def init(key: jax.Array, config: Config, arm: str) -> dict[str, Any]:
    """The parameters of the network."""
    width, units = config.width, hidden(config, arm)
    keys = jax.random.split(key)
    shapes = [(config.tokens + 1, width), (config.length, width)]
    shapes += [(width, units), (units, width)] * config.depth
    tokens, places, *rest = normals(keys[0], *shapes)
    made = [
        mixer(config, arm).init(k)[0] for k in jax.random.split(keys[1], config.depth)
    ]
    scaled = [w / w.shape[0] ** 0.5 for w in rest]
    return {
        "tokens": tokens,
        "places": 0.1 * places,
        "mixers": made,
        "mlps": [tuple(scaled[i : i + 2]) for i in range(0, len(scaled), 2)],
        "head": jnp.zeros((width, config.tokens)),
    }


def scores(
    params: dict[str, Any], config: Config, arm: str, text: jax.Array, masked: jax.Array
) -> jax.Array:
    """Scores of all tokens at all places.

    Args:
      params: of ``init``.
      config: the size of the study.
      arm: of it.
      text: ``(B, T)``.
      masked: booleans, tokens that are not seen.

    Returns:
      ``(B, T, tokens)``.
    """
    layer = mixer(config, arm)
    norm = lambda x: jax.nn.standardize(x, axis=-1, epsilon=1e-5)
    x = params["tokens"][jnp.where(masked, config.tokens, text)] + params["places"]
    for own, (up, down) in zip(params["mixers"], params["mlps"], strict=True):
        x = x + layer.apply(own, {}, norm(x), train=True)[0]
        x = x + jax.nn.gelu(norm(x) @ up) @ down
    return norm(x) @ params["head"]
