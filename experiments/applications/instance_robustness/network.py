"""The segmentation network: centres, offsets to them, and classes of pixels."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from experiments.applications.canvases import CLASSES
from experiments.applications.fitting import he_normal
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.layers import ghost_batch_norm, group_norm, pixel_shuffle, ws_conv

ARMS = ("batch norm", "group norm", "no norm")
OUTPUTS = 4 + CLASSES  # object or not, centre, two offsets, classes
UNIT = 8.0  # pixels of an offset of 1


def network(arm: str, width: int) -> Functional:
    """An encoder of stride 4 and outputs of stride 2.

    Args:
      arm: of ``ARMS``.
      width: channels; those of the first convolution are half as many.

    Returns:
      ``apply`` of images ``(B, n, n, 1)`` gives ``(B, n / 2, n / 2, outputs)``.
    """

    def conv(features: int, out: int, stride: int, size: int = 3) -> Functional:
        return ws_conv(
            features,
            out=out,
            stride=stride,
            size=size,
            standardize=False,
            kernel_init=he_normal,
        )

    sizes = ((1, width // 2, 2), (width // 2, width, 2), *2 * ((width, width, 1),))
    parts = {f"conv{i}": conv(*size) for i, size in enumerate(sizes)}
    if arm == "batch norm":
        parts |= {f"norm{i}": ghost_batch_norm(s[1]) for i, s in enumerate(sizes)}
    elif arm == "group norm":
        parts |= {f"norm{i}": group_norm(s[1], groups=8) for i, s in enumerate(sizes)}
    parts["out"] = conv(width, 4 * OUTPUTS, 1, 1)

    def init(key: jax.Array) -> tuple[Any, Any]:
        keys = jax.random.split(key, len(parts))
        pairs = zip(parts.items(), keys, strict=True)
        drawn = {name: part.init(own) for (name, part), own in pairs}
        params, state = ({n: d[i] for n, d in drawn.items()} for i in (0, 1))
        return params, state

    def apply(params: Any, state: Any, x: jax.Array, *, train: bool, key: Any = None):
        new = {}

        def call(name: str, x: jax.Array) -> jax.Array:
            if name not in parts:
                return x
            own = params[name], state[name]
            y, new[name] = parts[name].apply(*own, x, train=train)
            return y

        for i in range(len(sizes)):
            x = jax.nn.relu(call(f"norm{i}", call(f"conv{i}", x)))
        return pixel_shuffle(call("out", x), 2), {**state, **new}

    return Functional(init, apply)


def loss(model: Functional) -> Any:
    """Cross-entropies of objects, centres and classes, and errors of offsets."""

    def total(params: Any, state: Any, batch: Any) -> tuple[jax.Array, Any]:
        y, state = model.apply(params, state, batch["images"], train=True)
        there = 1.0 * (batch["classes"] >= 0)
        count = jnp.maximum(jnp.sum(there), 1)
        binary = optax.sigmoid_binary_cross_entropy
        labels = jnp.maximum(batch["classes"], 0)
        own = optax.softmax_cross_entropy_with_integer_labels(y[..., 4:], labels)
        far = jnp.sum(jnp.abs(y[..., 2:4] - batch["offsets"]), axis=-1)
        every = jnp.mean(binary(y[..., 0], there))
        every += 4 * jnp.mean(binary(y[..., 1], batch["heat"]))
        return every + jnp.sum((own + far) * there) / count, state

    return total
