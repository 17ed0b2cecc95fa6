"""Wide residual networks."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.lab.models import checks
from jaxopt_lab.lab.models.activations import IDENTITY, RELU, Activation
from jaxopt_lab.lab.models.configs import WideResNetConfig
from jaxopt_lab.lab.models.layers import (
    Dropout,
    MakeNorm,
    conv,
    dtypes,
    initial_factors,
    times,
)
from jaxopt_lab.lab.models.norms import Norm
from jaxopt_lab.layers.block.modules import ResidualSum
from jaxopt_lab.layers.block.residual_scale import ResidualScale


class WideBlock(nnx.Module):
    """Normalisation, ReLU, 3x3; dropout; again; plus the shortcut.

    Where the shape changes, the shortcut is a 1x1 convolution of the activated
    input, without normalisation.
    """

    def __init__(
        self,
        config: WideResNetConfig,
        in_channels: int,
        channels: int,
        stride: int,
        activation: Activation,
        index: int,
        make: MakeNorm,
        rngs: nnx.Rngs,
    ) -> None:
        types = dtypes(config.dtype)
        behind = IDENTITY if make.activates else activation
        count = config.depth // 2 - 2
        first, second = (
            times(activation.kernel_init, factor)
            for factor in initial_factors(config.residual_scale, count, 2)
        )
        self.activations = nnx.List(
            behind(size, types=types, rngs=rngs) for size in (in_channels, channels)
        )
        self.total = ResidualSum(
            config.residual_scale, depth=count, param_dtype=types["param_dtype"]
        )
        self.norm1 = make(in_channels, index)
        self.conv1 = conv(
            in_channels,
            channels,
            3,
            stride=stride,
            init=first,
            types=types,
            rngs=rngs,
        )
        self.norm2 = make(channels, index)
        self.dropout = Dropout(config.dropout)
        self.conv2 = conv(channels, channels, 3, init=second, types=types, rngs=rngs)
        self.project = stride != 1 or in_channels != channels
        if self.project:
            self.shortcut = conv(
                in_channels,
                channels,
                1,
                stride=stride,
                init=activation.kernel_init,
                types=types,
                rngs=rngs,
            )

    def __call__(self, x: jax.Array, rngs: nnx.Rngs | None) -> jax.Array:
        active = self.activations[0](self.norm1(x))
        skip = self.shortcut(active) if self.project else x

        def branch(active: jax.Array) -> jax.Array:
            y = self.activations[1](self.norm2(self.conv1(active)))
            return self.conv2(self.dropout(y, rngs))

        return self.total(branch, active, skip=skip)


class WideResNet(nnx.Module):
    """3x3 stem, three stages of ``(depth - 4) / 6`` blocks, mean, output."""

    def __init__(
        self,
        config: WideResNetConfig,
        shape: tuple[int, int, int],
        num_classes: int,
        norm: Norm | None,
        activation: Activation,
        rngs: nnx.Rngs,
    ) -> None:
        types = dtypes(config.dtype)
        self.shape = shape
        init = activation.kernel_init
        self.stem = conv(shape[2], 16, 3, init=init, types=types, rngs=rngs)
        make = MakeNorm(config, norm, types, rngs)
        blocks, last = [], 16
        for stage in range(3):
            channels = 16 * config.widen * 2**stage
            for index in range((config.depth - 4) // 6):
                stride = 2 if stage > 0 and index == 0 else 1
                depth = len(blocks) + 1
                blocks.append(
                    WideBlock(
                        config, last, channels, stride, activation, depth, make, rngs
                    )
                )
                last = channels
        self.blocks = nnx.List(blocks)
        self.norm = make(last, len(blocks))
        behind = IDENTITY if make.activates else activation
        self.activation = behind(last, types=types, rngs=rngs)
        self.head = nnx.Linear(last, num_classes, rngs=rngs, **types)

    def __call__(self, images: jax.Array, *, rngs: nnx.Rngs | None = None) -> jax.Array:
        checks.same_images("wide_resnet", images.shape, self.shape, any_size=True)
        x = self.stem(images)
        for block in self.blocks:
            x = block(x, rngs)
        x = self.activation(self.norm(x))
        return self.head(jnp.mean(x, axis=(1, 2)))


def build(
    config: WideResNetConfig,
    input_shape: tuple[int, ...],
    num_classes: int,
    norm: Norm | None = None,
    activation: Activation = RELU,
) -> Callable[[nnx.Rngs], WideResNet]:
    """See ``Model.build``."""
    shape = checks.image_shape("wide_resnet", input_shape)
    if config.depth < 10 or config.depth % 6 != 4:
        raise InputError(
            "wide_resnet: depth must be 6n + 4 with n at least 1 (10, 16, 22, 28, "
            f"...); got {config.depth}"
        )
    checks.at_least("wide_resnet", 1, widen=config.widen)
    checks.check_dropout("wide_resnet", config.dropout)
    checks.check_named(
        "wide_resnet", ResidualScale, residual_scale=config.residual_scale
    )
    if norm is None:
        checks.check_groups("wide_resnet", config.norm, config.groups, 16)
    return lambda rngs: WideResNet(config, shape, num_classes, norm, activation, rngs)
