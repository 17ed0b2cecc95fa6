"""The operators: of multigrid cycles, convolutions and spectral convolutions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from experiments.studies.operators.config import Config
from jaxopt_lab.layers import mgno

NORMAL = jax.nn.initializers.variance_scaling(1.0, "fan_in", "normal")


class Net(NamedTuple):
    """A network on functions of a grid.

    Attributes:
      init: ``init(key)``, its parameters.
      apply: ``apply(params, x)``, functions ``(B, n, n, 1)`` to functions.
    """

    init: Callable[[jax.Array], Any]
    apply: Callable[[Any, jax.Array], jax.Array]


def size(net: Net) -> int:
    """The number of numbers of the parameters, complex ones twice."""
    shapes = jax.eval_shape(net.init, jax.random.key(0))
    complex_ = jnp.complexfloating
    return sum(
        leaf.size * (2 if jnp.issubdtype(leaf.dtype, complex_) else 1)
        for leaf in jax.tree.leaves(shapes)
    )


def multigrid(config: Config) -> Net:
    """MgNO, whose cycles see zeros beyond the border."""
    net = mgno(
        1,
        width=config.width,
        depth=config.depth,
        levels=config.levels,
        grid="nested",
        kernel_init=NORMAL,
    )
    return Net(
        lambda key: net.init(key)[0],
        lambda params, x: net.apply(params, {}, x, train=True)[0],
    )


def convolutions(config: Config) -> Net:
    """A network of 3 x 3 convolutions, the widest that is no larger than MgNO."""
    most, width = size(multigrid(config)), 1
    while size(_convolutions(config.layers, width + 1)) <= most:
        width += 1
    return _convolutions(config.layers, width)


def _convolutions(layers: int, width: int) -> Net:
    sizes = (1, *[width] * (layers - 1), 1)

    def init(key: jax.Array) -> Any:
        keys = jax.random.split(key, layers)
        return [
            (NORMAL(k, (3, 3, a, b), jnp.float32), jnp.zeros(b))
            for k, a, b in zip(keys, sizes[:-1], sizes[1:], strict=True)
        ]

    def apply(params: Any, x: jax.Array) -> jax.Array:
        for i, (kernel, bias) in enumerate(params):
            x = jax.lax.conv_general_dilated(
                x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            x = x + bias
            x = jax.nn.gelu(x) if i + 1 < layers else x
        return x

    return Net(init, apply)


def spectral(config: Config) -> Net:
    """Spectral convolutions with as many modes as keep it no larger than MgNO."""
    most, modes = size(multigrid(config)), 1
    while (
        2 * modes + 2 <= config.points + 1
        and size(_spectral(config.depth, config.width, modes + 1)) <= most
    ):
        modes += 1
    return _spectral(config.depth, config.width, modes)


def _spectral(depth: int, width: int, modes: int) -> Net:
    def init(key: jax.Array) -> Any:
        keys = jax.random.split(key, 2 + 2 * depth)
        layers = []
        for i in range(depth):
            drawn = jax.random.normal(keys[2 * i], (2, 2, modes, modes, width, width))
            weights = (drawn[0] + 1j * drawn[1]) / width
            layers.append(
                {
                    "low": weights[0],
                    "high": weights[1],
                    "point": NORMAL(keys[2 * i + 1], (width, width), jnp.float32),
                    "bias": jnp.zeros(width),
                }
            )
        ends = (1, width), (width, 1)
        up, down = (
            NORMAL(k, s, jnp.float32) for k, s in zip(keys[-2:], ends, strict=True)
        )
        return {"up": up, "layers": layers, "down": down}

    def mixed(layer: Any, x: jax.Array) -> jax.Array:
        spectrum = jnp.fft.rfft2(x, axes=(1, 2))
        found = jnp.zeros(spectrum.shape, spectrum.dtype)
        for name, rows in (("low", slice(modes)), ("high", slice(-modes, None))):
            part = spectrum[:, rows, :modes]
            part = jnp.einsum("bxyi,xyio->bxyo", part, layer[name])
            found = found.at[:, rows, :modes].set(part)
        return jnp.fft.irfft2(found, x.shape[1:3], axes=(1, 2))

    def apply(params: Any, x: jax.Array) -> jax.Array:
        x = x @ params["up"]
        for layer in params["layers"]:
            x = jax.nn.gelu(mixed(layer, x) + x @ layer["point"] + layer["bias"])
        return x @ params["down"]

    return Net(init, apply)


NETS = {"MgNO": multigrid, "convolutions": convolutions, "spectral": spectral}
"""Networks by name, of a ``Config``."""


def relative(y: jax.Array, target: jax.Array) -> jax.Array:
    """The mean over functions of the distance over the norm of the target."""
    axes = tuple(range(1, y.ndim))
    distance = jnp.sqrt(jnp.sum((y - target) ** 2, axes) + math.ulp(1.0))
    return jnp.mean(distance / jnp.sqrt(jnp.sum(target**2, axes)))
