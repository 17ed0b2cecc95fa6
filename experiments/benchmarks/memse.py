"""Time of MemSE's prediction over that of jitted Monte Carlo, and the two errors.

Run as ``taskset -c 0 python -m experiments.benchmarks.memse``, for one thread, in
processor time; two minutes. An MLP, 64-32-32-10, and a network of a convolution of 4
channels, a ReLU, average pooling and a dense layer on 8 x 8 images; 8 examples, all of
them in every draw of the weights, weights on 128 levels, noise 0.01. Both programs are
compiled before they are timed.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks import paired
from jaxopt_lab.diagnostics.hardware import (
    crossbar,
    crossbar_conv,
    linear_map,
    memse,
    relu_moments,
)

EXAMPLES, CHUNK, SIDE, CHANNELS = 8, 500, 8, 4
OPTIONS = {"noise": 0.01, "levels": 128}


class Network(NamedTuple):
    """A network as layers of moments and as a function of its weights.

    Attributes:
      layers: of ``memse``.
      crossbars: those of its weights.
      forward: ``forward(weights, x)``, the outputs of a batch.
      weights: without noise and rounding.
      x: examples.
    """

    layers: list[Any]
    crossbars: list[Any]
    forward: Callable[..., jax.Array]
    weights: list[jax.Array]
    x: jax.Array


def _matrix(rng: Any, outputs: int, inputs: int) -> jax.Array:
    return jnp.asarray(rng.normal(size=(outputs, inputs)) / inputs**0.5, jnp.float32)


def mlp(seed: int = 0) -> Network:
    """The dense network."""
    rng = np.random.default_rng(seed)
    weights = [_matrix(rng, 32, 64), _matrix(rng, 32, 32), _matrix(rng, 10, 32)]
    boards = [crossbar(w, **OPTIONS) for w in weights]
    layers = [boards[0], relu_moments, boards[1], relu_moments, boards[2]]

    def forward(weights: Any, x: jax.Array) -> jax.Array:
        first, second, last = weights
        return jax.nn.relu(jax.nn.relu(x @ first.T) @ second.T) @ last.T

    x = jnp.asarray(rng.normal(size=(EXAMPLES, 64)), jnp.float32)
    return Network(layers, boards, forward, weights, x)


def cnn(seed: int = 0) -> Network:
    """The convolutional network."""
    rng = np.random.default_rng(seed)
    half = SIDE // 2
    kernel, head = _matrix(rng, CHANNELS, 9), _matrix(rng, 10, half**2 * CHANNELS)
    turned = kernel.T.reshape(3, 3, 1, CHANNELS)
    conv = crossbar_conv(turned, (SIDE, SIDE, 1), **OPTIONS)
    dense = crossbar(head, **OPTIONS)
    shape = (half, half, CHANNELS)
    eye = jnp.eye(SIDE**2 * CHANNELS).reshape(half, 2, half, 2, CHANNELS, -1)
    pooling = jnp.mean(eye, axis=(1, 3)).reshape(math.prod(shape), -1)
    layers = [conv, relu_moments, lambda m: linear_map(m, pooling), dense]

    def forward(weights: Any, x: jax.Array) -> jax.Array:
        kernel, head = weights
        padded = jnp.pad(x.reshape(-1, SIDE**2), ((0, 0), (0, 1)))
        y = jax.nn.relu(padded[:, conv.patches] @ kernel.T)
        y = y.reshape(-1, half, 2, half, 2, CHANNELS)
        return jnp.mean(y, axis=(2, 4)).reshape(len(x), -1) @ head.T

    x = jnp.asarray(rng.normal(size=(EXAMPLES, SIDE, SIDE, 1)), jnp.float32)
    return Network(layers, [conv.matrix, dense], forward, [kernel, head], x)


def monte_carlo(network: Network, draws: int) -> Callable[[], Any]:
    """A compiled simulation.

    Args:
      network: the network.
      draws: of the weights, a multiple of 500.

    Returns:
      ``run()``: mean and standard error of the squared error, a mean over examples
      and outputs.
    """

    @jax.jit
    def simulate(key: jax.Array, boards: Any, weights: Any, x: jax.Array) -> Any:
        target = network.forward(weights, x)

        def one(key: jax.Array) -> jax.Array:
            noisy = []
            for i, board in enumerate(boards):
                # The difference of two devices.
                spread = 2**0.5 * board.noise / board.conductance[:, None]
                own = jax.random.fold_in(key, i)
                noise = jax.random.normal(own, board.weight.shape, x.dtype)
                noisy.append(board.weight + spread * noise)
            return jnp.mean((network.forward(noisy, x) - target) ** 2)

        def chunk(key: jax.Array) -> jax.Array:
            return jax.vmap(one)(jax.random.split(key, CHUNK))

        errors = jax.lax.map(chunk, jax.random.split(key, draws // CHUNK))
        return jnp.mean(errors), jnp.std(errors) / draws**0.5

    arguments = jax.random.key(0), network.crossbars, network.weights, network.x
    return lambda: jax.block_until_ready(simulate(*arguments))


def prediction(network: Network) -> Callable[[], Any]:
    """A compiled prediction.

    Args:
      network: the network.

    Returns:
      ``run()``: the mean of the expected squared error.
    """

    @jax.jit
    def predict(weights: Any, x: jax.Array) -> jax.Array:
        target = network.forward(weights, x)
        return jnp.mean(memse(network.layers, x, target).error)

    return lambda: jax.block_until_ready(predict(network.weights, network.x))


def table(draws: tuple[int, ...] = (10_000, 100_000)) -> list[dict[str, Any]]:
    """A row for each network and number of draws.

    Args:
      draws: numbers of draws.

    Returns:
      The rows: seconds of both, the ratio, both errors and the distance in standard
      errors.
    """
    rows = []
    for name, make in (("mlp", mlp), ("cnn", cnn)):
        network = make()
        predict = prediction(network)
        predicted = float(predict())
        for count in draws:
            simulate = monte_carlo(network, count)
            mean, error = map(float, simulate())
            ratio = paired.ratio(simulate, predict, pairs=4, clock=time.process_time)
            rows.append(
                {
                    "network": name,
                    "draws": count,
                    "monte_carlo_seconds": ratio.seconds[0],
                    "memse_seconds": ratio.seconds[1],
                    "ratio": ratio.median,
                    "quartiles": [ratio.low, ratio.high],
                    "simulated": mean,
                    "standard_error": error,
                    "predicted": predicted,
                    "distance": abs(predicted - mean) / error,
                }
            )
    return rows


def main() -> int:
    """Print the table and a line of JSON."""
    rows = table()
    print("seconds of Monte Carlo and of MemSE; distance in standard errors")
    print(
        "network   draws  Monte Carlo    MemSE  ratio  simulated  predicted  distance"
    )
    for row in rows:
        print(
            f"{row['network']:7} {row['draws']:7} {row['monte_carlo_seconds']:12.4f} "
            f"{row['memse_seconds']:8.4f} {row['ratio']:6.1f} {row['simulated']:10.3e} "
            f"{row['predicted']:10.3e} {row['distance']:9.2f}"
        )
    print(json.dumps(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
