"""Residual networks of basic or bottleneck blocks."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from jaxopt_lab.lab.models import checks
from jaxopt_lab.lab.models.activations import IDENTITY, RELU, Activation
from jaxopt_lab.lab.models.configs import ResNetConfig
from jaxopt_lab.lab.models.layers import (
    MakeNorm,
    conv,
    dtypes,
    initial_factors,
    times,
)
from jaxopt_lab.lab.models.norms import Norm
from jaxopt_lab.layers.block.modules import ResidualSum
from jaxopt_lab.layers.block.residual_scale import ResidualScale

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
        activation: Activation,
        index: int,
        count: int,
        make: MakeNorm,
        rngs: nnx.Rngs,
    ) -> None:
        types = dtypes(config.dtype)
        if config.bottleneck:
            plan = [(channels, 1, 1), (channels, 3, stride), (4 * channels, 1, 1)]
        else:
            plan = [(channels, 3, stride), (channels, 3, 1)]
        convs, norms, last = [], [], in_channels
        factors = initial_factors(config.residual_scale, count, len(plan))
        for (out, size, step), factor in zip(plan, factors, strict=True):
            init = times(activation.kernel_init, factor)
            convs.append(
                conv(last, out, size, stride=step, init=init, types=types, rngs=rngs)
            )
            inside = len(norms) + 1 < len(plan)
            norms.append(make(out, index, activate=inside))
            last = out
        self.convs, self.norms = nnx.List(convs), nnx.List(norms)
        # One behind each convolution; the last one stands behind the sum.
        behind = IDENTITY if make.activates else activation
        self.activations = nnx.List(
            (behind if place + 1 < len(plan) else activation)(
                out, types=types, rngs=rngs
            )
            for place, (out, _, _) in enumerate(plan)
        )
        self.total = ResidualSum(
            config.residual_scale, depth=count, param_dtype=types["param_dtype"]
        )
        self.channels = last
        self.project = stride != 1 or in_channels != last
        if self.project:
            self.shortcut = conv(
                in_channels,
                last,
                1,
                stride=stride,
                init=activation.kernel_init,
                types=types,
                rngs=rngs,
            )
            self.shortcut_norm = make(last, index, activate=False)

    def __call__(self, x: jax.Array) -> jax.Array:
        skip = self.shortcut_norm(self.shortcut(x)) if self.project else x
        return self.activations[-1](self.total(self.branch, x, skip=skip))

    def branch(self, x: jax.Array) -> jax.Array:
        """The convolutions with their norms and the activations between them."""
        for index, (layer, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            x = norm(layer(x if index == 0 else self.activations[index - 1](x)))
        return x


class ResNet(nnx.Module):
    """Stem, stages of blocks, mean over the image, output."""

    def __init__(
        self,
        config: ResNetConfig,
        shape: tuple[int, int, int],
        num_classes: int,
        norm: Norm | None,
        activation: Activation,
        rngs: nnx.Rngs,
    ) -> None:
        types = dtypes(config.dtype)
        self.shape = shape
        # The 7x7 stem with stride and pooling divides the size by 4, which would
        # leave a 32x32 image with a single pixel in the last stage.
        self.small = max(shape[:2]) < SMALL
        size, stride = (3, 1) if self.small else (7, 2)
        self.stem = conv(
            shape[2],
            config.width,
            size,
            stride=stride,
            init=activation.kernel_init,
            types=types,
            rngs=rngs,
        )
        make = MakeNorm(config, norm, types, rngs)
        behind = IDENTITY if make.activates else activation
        self.activation = behind(config.width, types=types, rngs=rngs)
        self.stem_norm = make(config.width, 1)
        blocks, last = [], config.width
        for stage, count in enumerate(config.blocks):
            for index in range(count):
                step = 2 if stage > 0 and index == 0 else 1
                channels = config.width * 2**stage
                total = sum(config.blocks)
                depth = len(blocks) + 1
                blocks.append(
                    Block(
                        config,
                        last,
                        channels,
                        step,
                        activation,
                        depth,
                        total,
                        make,
                        rngs,
                    )
                )
                last = blocks[-1].channels
        self.blocks = nnx.List(blocks)
        self.head = nnx.Linear(last, num_classes, rngs=rngs, **types)

    def __call__(self, images: jax.Array) -> jax.Array:
        checks.same_images("resnet", images.shape, self.shape, any_size=True)
        x = self.activation(self.stem_norm(self.stem(images)))
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
    activation: Activation = RELU,
) -> Callable[[nnx.Rngs], ResNet]:
    """See ``Model.build``."""
    shape = checks.image_shape("resnet", input_shape)
    checks.at_least("resnet", 1, width=config.width)
    checks.check_named("resnet", ResidualScale, residual_scale=config.residual_scale)
    if norm is None:
        checks.check_groups("resnet", config.norm, config.groups, config.width)
    return lambda rngs: ResNet(config, shape, num_classes, norm, activation, rngs)
