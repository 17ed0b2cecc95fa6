"""Residual networks of basic or bottleneck blocks."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from jaxopt_lab.lab.models import checks
from jaxopt_lab.lab.models.configs import ResNetConfig
from jaxopt_lab.lab.models.layers import MakeNorm, conv, dtypes
from jaxopt_lab.lab.models.norms import Norm

SMALL = 64
"""Images with both sides below this keep their size through the stem."""


class Block(nnx.Module):
    """Convolutions with normalisation around a shortcut.

    Basic: 3x3, 3x3. Bottleneck: 1x1, 3x3 (which carries the stride), 1x1 to four
    times the channels. Where the shape changes the shortcut is a 1x1 convolution
    with normalisation. A normalisation that is an activation, too (EvoNorm), is
    followed by none inside of the block, and only scales at its end.
    """

    def __init__(
        self,
        config: ResNetConfig,
        in_channels: int,
        channels: int,
        stride: int,
        index: int,
        make: MakeNorm,
        rngs: nnx.Rngs,
    ) -> None:
        types = dtypes(config.dtype)
        self.activated = make.activates
        if config.bottleneck:
            plan = [(channels, 1, 1), (channels, 3, stride), (4 * channels, 1, 1)]
        else:
            plan = [(channels, 3, stride), (channels, 3, 1)]
        convs, norms, last = [], [], in_channels
        for out, size, step in plan:
            convs.append(conv(last, out, size, stride=step, types=types, rngs=rngs))
            inside = len(norms) + 1 < len(plan)
            norms.append(make(out, index, activate=inside))
            last = out
        self.convs, self.norms = nnx.List(convs), nnx.List(norms)
        self.channels = last
        self.project = stride != 1 or in_channels != last
        if self.project:
            self.shortcut = conv(
                in_channels, last, 1, stride=stride, types=types, rngs=rngs
            )
            self.shortcut_norm = make(last, index, activate=False)

    def __call__(self, x: jax.Array) -> jax.Array:
        skip = self.shortcut_norm(self.shortcut(x)) if self.project else x
        for index, (layer, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            inside = index > 0 and not self.activated
            x = norm(layer(jax.nn.relu(x) if inside else x))
        return jax.nn.relu(x + skip)


class ResNet(nnx.Module):
    """Stem, stages of blocks, mean over the image, output."""

    def __init__(
        self,
        config: ResNetConfig,
        shape: tuple[int, int, int],
        num_classes: int,
        norm: Norm | None,
        rngs: nnx.Rngs,
    ) -> None:
        types = dtypes(config.dtype)
        self.shape = shape
        # The 7x7 stem with stride and pooling divides the size by 4, which would
        # leave a 32x32 image with a single pixel in the last stage.
        self.small = max(shape[:2]) < SMALL
        size, stride = (3, 1) if self.small else (7, 2)
        self.stem = conv(
            shape[2], config.width, size, stride=stride, types=types, rngs=rngs
        )
        make = MakeNorm(config, norm, types, rngs)
        self.activated = make.activates
        self.stem_norm = make(config.width, 1)
        blocks, last = [], config.width
        for stage, count in enumerate(config.blocks):
            for index in range(count):
                step = 2 if stage > 0 and index == 0 else 1
                channels = config.width * 2**stage
                depth = len(blocks) + 1
                blocks.append(Block(config, last, channels, step, depth, make, rngs))
                last = blocks[-1].channels
        self.blocks = nnx.List(blocks)
        self.head = nnx.Linear(last, num_classes, rngs=rngs, **types)

    def __call__(self, images: jax.Array) -> jax.Array:
        checks.same_images("resnet", images.shape, self.shape, any_size=True)
        x = self.stem_norm(self.stem(images))
        if not self.activated:
            x = jax.nn.relu(x)
        if not self.small:
            x = nnx.max_pool(x, (3, 3), strides=(2, 2), padding="SAME")
        for block in self.blocks:
            x = block(x)
        return self.head(jnp.mean(x, axis=(1, 2)))


def build(
    config: ResNetConfig,
    input_shape: tuple[int, ...],
    num_classes: int,
    norm: Norm | None = None,
) -> Callable[[nnx.Rngs], ResNet]:
    """See ``Model.build``."""
    shape = checks.image_shape("resnet", input_shape)
    checks.at_least("resnet", 1, width=config.width)
    if norm is None:
        checks.check_groups("resnet", config.norm, config.groups, config.width)
    return lambda rngs: ResNet(config, shape, num_classes, norm, rngs)
