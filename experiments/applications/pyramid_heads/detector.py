"""The detector: a backbone of three levels and a dense head that they share."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from experiments.applications.canvases import CLASSES
from experiments.applications.fitting import he_normal
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.layers import (
    ghost_batch_norm,
    integrated_batch_norm,
    pyramid_conv,
    ws_conv,
)

ARMS = ("no norm", "norm of each level", "integrated norm", "pyramid convolution")


def detector(arm: str, width: int, modules: int) -> Functional:
    """A backbone of three levels and a head that they share.

    Args:
      arm: of ``ARMS``.
      width: channels of the levels.
      modules: convolutions of the head.

    Returns:
      ``apply`` of images ``(B, 64, 64, 1)`` gives the logits of all cells of all
      levels, ``(B, cells, 1 + classes)``.
    """
    plain = {"stride": 2, "standardize": False, "kernel_init": he_normal}
    parts = {"stem": ws_conv(1, out=8, **plain), "stem_norm": ghost_batch_norm(8)}
    for i in range(3):
        parts[f"level{i}"] = ws_conv(width if i else 8, out=width, **plain)
        parts[f"level{i}_norm"] = ghost_batch_norm(width)
    neighbours = arm == "pyramid convolution"
    for i in range(modules):
        conv = pyramid_conv(width, neighbours=neighbours, kernel_init=he_normal)
        parts[f"head{i}"] = conv
        for name in _norms(arm, i):
            parts[name] = integrated_batch_norm(width)
    parts["out"] = pyramid_conv(
        width, out=1 + CLASSES, neighbours=False, kernel_init=he_normal
    )

    def init(key: jax.Array) -> tuple[Any, Any]:
        keys = jax.random.split(key, len(parts))
        drawn = {
            name: part.init(k)
            for (name, part), k in zip(parts.items(), keys, strict=True)
        }
        params, state = ({n: d[i] for n, d in drawn.items()} for i in (0, 1))
        # Few cells hold an object: at first none is found.
        params["out"]["own_bias"] = params["out"]["own_bias"].at[0].set(-3.0)
        return params, state

    def apply(params: Any, state: Any, x: jax.Array, *, train: bool, key: Any = None):
        new = {}

        def call(name: str, x: Any) -> Any:
            own = params[name], state[name]
            y, new[name] = parts[name].apply(*own, x, train=train)
            return y

        relu = jax.nn.relu
        x = relu(call("stem_norm", call("stem", x)))
        levels = []
        for i in range(3):
            x = relu(call(f"level{i}_norm", call(f"level{i}", x)))
            levels.append(x)
        y = tuple(levels)
        for i in range(modules):
            y = call(f"head{i}", y)
            norms = _norms(arm, i)
            if len(norms) == 1:
                y = call(norms[0], y)
            elif norms:
                pairs = zip(norms, y, strict=True)
                y = tuple(call(name, (level,))[0] for name, level in pairs)
            y = jax.tree.map(relu, y)
        out = [level.reshape(len(level), -1, 1 + CLASSES) for level in call("out", y)]
        return jnp.concatenate(out, axis=1), {**state, **new}

    return Functional(init, apply)


def _norms(arm: str, i: int) -> list[str]:
    """Names of the norms of a module of the head."""
    if arm == "no norm":
        return []
    if arm == "norm of each level":
        return [f"head{i}_norm{level}" for level in range(3)]
    return [f"head{i}_norm"]


def loss(model: Functional) -> Any:
    """Cross-entropies of centres and of their classes, per object."""

    def total(params: Any, state: Any, batch: Any) -> tuple[jax.Array, Any]:
        logits, state = model.apply(params, state, batch["images"], train=True)
        there = batch["targets"] >= 0
        centre = optax.sigmoid_binary_cross_entropy(logits[..., 0], 1.0 * there)
        label = optax.softmax_cross_entropy_with_integer_labels(
            logits[..., 1:], jnp.maximum(batch["targets"], 0)
        )
        every = jnp.sum(centre) + jnp.sum(jnp.where(there, label, 0))
        return every / jnp.maximum(jnp.sum(there), 1), state

    return total
