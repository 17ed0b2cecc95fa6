"""A multi-layer perceptron."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
from flax import nnx

from jaxopt_lab.core.shapes import flattened
from jaxopt_lab.lab.models import checks
from jaxopt_lab.lab.models.activations import RELU, Activation
from jaxopt_lab.lab.models.configs import MLPConfig
from jaxopt_lab.lab.models.layers import dtypes


class MLP(nnx.Module):
    """Dense layers and activations on flattened inputs."""

    def __init__(
        self,
        config: MLPConfig,
        shape: tuple[int, ...],
        num_classes: int,
        activation: Activation,
        rngs: nnx.Rngs,
    ) -> None:
        types = dtypes(config.dtype)
        self.shape = shape
        sizes = [math.prod(shape)] + [config.width] * config.depth
        init = activation.kernel_init
        self.hidden = nnx.List(
            nnx.Linear(size, config.width, kernel_init=init, rngs=rngs, **types)
            for size in sizes[:-1]
        )
        self.activations = nnx.List(
            activation(config.width, types=types, rngs=rngs) for _ in sizes[:-1]
        )
        self.head = nnx.Linear(sizes[-1], num_classes, rngs=rngs, **types)

    def __call__(self, images: jax.Array) -> jax.Array:
        checks.same_inputs("mlp", images.shape, self.shape)
        x = flattened(images)
        for layer, activation in zip(self.hidden, self.activations, strict=True):
            x = activation(layer(x))
        return self.head(x)


def build(
    config: MLPConfig,
    input_shape: tuple[int, ...],
    num_classes: int,
    activation: Activation = RELU,
) -> Callable[[nnx.Rngs], MLP]:
    """See ``Model.build``."""
    shape = checks.input_shape("mlp", input_shape)
    checks.at_least("mlp", 1, width=config.width)
    checks.at_least("mlp", 0, depth=config.depth)
    return lambda rngs: MLP(config, shape, num_classes, activation, rngs)
