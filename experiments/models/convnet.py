"""A small convolutional network."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
from flax import nnx

from experiments.models import checks
from experiments.models.configs import ConvNetConfig
from experiments.models.layers import conv, dtypes


class ConvNet(nnx.Module):
    """Convolutions with ReLU, a dense layer, the output; no normalisation.

    Sizes shrink by strides: on CPU the backward pass of a max-pool costs as much as
    the convolution in front of it.
    """

    def __init__(
        self,
        config: ConvNetConfig,
        shape: tuple[int, int, int],
        num_classes: int,
        rngs: nnx.Rngs,
    ) -> None:
        types = dtypes(config.dtype)
        self.shape = shape
        height, width, last = shape
        self.convs = nnx.List()
        for channels in config.channels:
            stride = 2 if self.convs else 1
            self.convs.append(
                conv(
                    last,
                    channels,
                    3,
                    stride=stride,
                    bias=True,
                    types=types,
                    rngs=rngs,
                )
            )
            height, width = math.ceil(height / stride), math.ceil(width / stride)
            last = channels
        self.dense = nnx.Linear(
            height * width * last,
            config.dense,
            kernel_init=nnx.initializers.he_normal(),
            rngs=rngs,
            **types,
        )
        self.head = nnx.Linear(config.dense, num_classes, rngs=rngs, **types)

    def __call__(self, images: jax.Array) -> jax.Array:
        checks.same_images("convnet", images.shape, self.shape, any_size=False)
        x = images
        for layer in self.convs:
            x = jax.nn.relu(layer(x))
        x = x.reshape(x.shape[0], -1)
        return self.head(jax.nn.relu(self.dense(x)))


def build(
    config: ConvNetConfig, input_shape: tuple[int, ...], num_classes: int
) -> Callable[[nnx.Rngs], ConvNet]:
    """See ``Model.build``."""
    shape = checks.image_shape("convnet", input_shape)
    checks.at_least("convnet", 1, channels=min(config.channels, default=0))
    checks.at_least("convnet", 1, dense=config.dense)
    return lambda rngs: ConvNet(config, shape, num_classes, rngs)
