"""A residual network in the Poincare ball; between layers there are tangents at 0."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.lab.models import checks
from jaxopt_lab.lab.models.configs import PoincareResNetConfig
from jaxopt_lab.lab.models.layers import dtypes
from jaxopt_lab.layers.geometry import poincare
from jaxopt_lab.layers.geometry.modules import PoincareBatchNorm, PoincareConv


def mobius_total(x: jax.Array, y: jax.Array, curvature: float) -> jax.Array:
    """The Mobius sum of the points of two tangents at 0, as a tangent.

    Args:
      x: the first term; the sum does not commute.
      y: the second.
      curvature: c, above 0.

    Returns:
      The tangent, of the type of ``x``.
    """
    wide = accumulation_dtype(x.dtype)
    c = jnp.asarray(curvature, wide)
    points = (poincare.expmap0(v.astype(wide), c) for v in (x, y))
    total = poincare.project(poincare.mobius_add(*points, c), c)
    return poincare.logmap0(total, c).astype(x.dtype)


class Block(nnx.Module):
    """Two normalized convolutions, and the Mobius sum with the shortcut.

    Where the shape changes the shortcut is a convolution of one position.
    """

    def __init__(
        self,
        config: PoincareResNetConfig,
        features: int,
        channels: int,
        stride: int,
        types: Any,
        rngs: nnx.Rngs,
    ) -> None:
        self.curvature = config.curvature
        plan = ((features, stride), (channels, 1))
        self.convs = nnx.List(
            _conv(config, last, channels, 3, step, types, rngs) for last, step in plan
        )
        self.norms = nnx.List(_norm(config, channels, types, rngs) for _ in plan)
        self.project = stride != 1 or features != channels
        if self.project:
            self.shortcut = _conv(config, features, channels, 1, stride, types, rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        y = jax.nn.relu(self.norms[0](self.convs[0](x)))
        y = self.norms[1](self.convs[1](y))
        skip = self.shortcut(x) if self.project else x
        return jax.nn.relu(mobius_total(y, skip, self.curvature))


class PoincareResNet(nnx.Module):
    """Stem, stages of blocks, mean of the tangents over the image, output."""

    def __init__(
        self,
        config: PoincareResNetConfig,
        shape: tuple[int, int, int],
        num_classes: int,
        rngs: nnx.Rngs,
    ) -> None:
        types = dtypes(config.dtype)
        self.dtype, self.shape = types["dtype"], shape
        last = config.channels[0]
        self.stem = _conv(config, shape[2], last, 3, 1, types, rngs)
        self.stem_norm = _norm(config, last, types, rngs)
        blocks = []
        for stage, channels in enumerate(config.channels):
            for index in range((config.depth - 2) // (2 * len(config.channels))):
                step = 2 if stage > 0 and index == 0 else 1
                blocks.append(Block(config, last, channels, step, types, rngs))
                last = channels
        self.blocks = nnx.List(blocks)
        self.head = _conv(config, last, num_classes, 1, 1, types, rngs, "normal")

    def __call__(self, images: jax.Array) -> jax.Array:
        checks.same_images("poincare_resnet", images.shape, self.shape, any_size=True)
        x = jax.nn.relu(self.stem_norm(self.stem(images.astype(self.dtype))))
        for block in self.blocks:
            x = block(x)
        mean = jnp.mean(
            x, axis=(1, 2), keepdims=True, dtype=accumulation_dtype(x.dtype)
        )
        return self.head(mean.astype(x.dtype))[:, 0, 0]


def _conv(
    config: PoincareResNetConfig,
    features: int,
    channels: int,
    size: int,
    stride: int,
    types: Any,
    rngs: nnx.Rngs,
    start: str | None = None,
) -> PoincareConv:
    # The identity has no column for further outputs, and a column of zeros stays 0.
    fits = channels <= size * size * features
    chosen = config.start if fits else "normal"
    return PoincareConv(
        features,
        out=channels,
        size=size,
        stride=stride,
        curvature=config.curvature,
        start=chosen if start is None else start,
        param_dtype=types["param_dtype"],
        rngs=rngs,
    )


def _norm(
    config: PoincareResNetConfig, channels: int, types: Any, rngs: nnx.Rngs
) -> PoincareBatchNorm:
    return PoincareBatchNorm(
        channels,
        curvature=config.curvature,
        param_dtype=types["param_dtype"],
        rngs=rngs,
    )


def build(
    config: PoincareResNetConfig, input_shape: tuple[int, ...], num_classes: int
) -> Callable[[nnx.Rngs], PoincareResNet]:
    """See ``Model.build``."""
    name = "poincare_resnet"
    shape = checks.image_shape(name, input_shape)
    checks.at_least(name, 1, channels=min(config.channels, default=0))
    stages = 2 * len(config.channels)
    if config.depth < 2 + stages or (config.depth - 2) % stages:
        raise InputError(
            f"{name}: depth must be {stages}n + 2 for {len(config.channels)} stages; "
            f"got {config.depth}"
        )
    if not config.curvature > 0:
        raise InputError(f"{name}: curvature must be above 0; got {config.curvature}")
    return lambda rngs: PoincareResNet(config, shape, num_classes, rngs)
