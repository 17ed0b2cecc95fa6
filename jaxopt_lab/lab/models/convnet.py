"""A small convolutional network."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.shapes import flattened
from jaxopt_lab.lab.models import checks
from jaxopt_lab.lab.models.activations import IDENTITY, RELU, Activation
from jaxopt_lab.lab.models.configs import ConvNetConfig
from jaxopt_lab.lab.models.layers import conv, dtypes
from jaxopt_lab.lab.models.norms import Norm


def halve(x: jax.Array) -> jax.Array:
    """2x2 max-pool of (B, H, W, C); an odd last row or column is dropped.

    A reshape and a maximum, not a window reduction: the backward pass of that one is
    a scatter, which makes forward and backward five times slower on CPU.
    """
    batch, height, width, channels = x.shape
    height, width = height // 2, width // 2
    x = x[:, : 2 * height, : 2 * width]
    return jnp.max(x.reshape(batch, height, 2, width, 2, channels), axis=(2, 4))


class ConvNet(nnx.Module):
    """Convolutions, normalized, halved and activated; a dense layer; the output."""

    def __init__(
        self,
        config: ConvNetConfig,
        shape: tuple[int, int, int],
        num_classes: int,
        norm: Norm | None,
        activation: Activation,
        rngs: nnx.Rngs,
    ) -> None:
        types = dtypes(config.dtype)
        self.shape = shape
        height, width, last = shape
        # The maximum of rectified values is the rectified maximum, on a quarter of the
        # values; of an activation that falls somewhere it is not.
        self.halve_first, init = activation.name == "relu", activation.kernel_init
        behind = IDENTITY if norm is not None and norm.activates else activation
        self.activations = nnx.List(
            behind(channels, types=types, rngs=rngs) for channels in config.channels
        )
        self.activations.append(activation(config.dense, types=types, rngs=rngs))
        self.convs, self.norms = nnx.List(), nnx.List()
        for index, channels in enumerate(config.channels, start=1):
            self.convs.append(
                conv(last, channels, 3, bias=True, init=init, types=types, rngs=rngs)
            )
            if norm is not None:
                self.norms.append(norm(channels, index=index, types=types, rngs=rngs))
            height, width, last = height // 2, width // 2, channels
        self.dense = nnx.Linear(
            height * width * last,
            config.dense,
            kernel_init=init,
            rngs=rngs,
            **types,
        )
        self.head = nnx.Linear(config.dense, num_classes, rngs=rngs, **types)

    def __call__(self, images: jax.Array) -> jax.Array:
        checks.same_images("convnet", images.shape, self.shape, any_size=False)
        x = images
        for index, layer in enumerate(self.convs):
            x = layer(x)
            if self.norms:
                x = self.norms[index](x)
            activation = self.activations[index]
            x = activation(halve(x)) if self.halve_first else halve(activation(x))
        x = flattened(x)
        return self.head(self.activations[-1](self.dense(x)))


def build(
    config: ConvNetConfig,
    input_shape: tuple[int, ...],
    num_classes: int,
    norm: Norm | None = None,
    activation: Activation = RELU,
) -> Callable[[nnx.Rngs], ConvNet]:
    """See ``Model.build``."""
    shape = checks.image_shape("convnet", input_shape)
    checks.at_least("convnet", 1, channels=min(config.channels, default=0))
    checks.at_least("convnet", 1, dense=config.dense)
    count = len(config.channels)
    if min(shape[:2]) < 2**count:
        raise InputError(
            f"convnet: {count} convolutions halve the image {count} times, which "
            f"needs at least {2**count} pixels a side; got {shape[0]}x{shape[1]}"
        )
    return lambda rngs: ConvNet(config, shape, num_classes, norm, activation, rngs)
