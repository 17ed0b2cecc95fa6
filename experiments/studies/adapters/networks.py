"""A perceptron with adapters behind its hidden layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from experiments.studies import dense_nets
from experiments.studies.adapters.config import Config
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.layers import kernel_adapter

HIDDEN = 2
"""Hidden layers, each with an adapter behind it."""
CLASSES = 10
NORMAL = jax.nn.initializers.variance_scaling(1.0, "fan_in", "normal")


class Arm(NamedTuple):
    """Something that is trained on the new task.

    Attributes:
      init: ``init(key, trunk)``, its parameters; at them the net is the trunk.
      scores: ``scores(params, trunk, x)``.
      size: number of parameters.
    """

    init: Callable[[jax.Array, Any], Any]
    scores: Callable[[Any, Any, jax.Array], jax.Array]
    size: int


def arms(config: Config) -> dict[str, Arm]:
    """The arms by name.

    Args:
      config: the size of the study.

    Returns:
      A probe; dense adapters, narrow and wide; adapters on features with as many
      parameters as the narrow ones.
    """
    width, found = config.width, {"probe": probe(config.width)}
    for bottleneck in (config.narrow, config.wide):
        found[f"dense {bottleneck}"] = adapted([dense_adapter(width, bottleneck)] * 2)
    budget = (2 * width + 1) * config.narrow
    for size in config.bottlenecks:
        # Of a bottleneck, a row of weights and one to the width.
        count = budget // size - width
        found[f"kernel {size} x {count}"] = adapted(
            [
                kernel_adapter(
                    width,
                    size=size,
                    num_features=count,
                    layer=layer,
                    kernel_init=NORMAL,
                )
                for layer in range(HIDDEN)
            ]
        )
    return found


def probe(width: int) -> Arm:
    """A new last layer, from the old one.

    Args:
      width: of the last hidden layer.

    Returns:
      The arm.
    """

    def scores(params: Any, trunk: Any, x: jax.Array) -> jax.Array:
        return dense_nets.dense([*trunk[:-1], params], x)

    return Arm(lambda key, trunk: trunk[-1], scores, CLASSES * (width + 1))


def adapted(adapters: list[Functional]) -> Arm:
    """Adapters behind the hidden layers.

    Args:
      adapters: of each hidden layer.

    Returns:
      The arm.
    """

    def init(key: jax.Array, trunk: Any) -> Any:
        keys = jax.random.split(key, len(adapters))
        return [a.init(k)[0] for a, k in zip(adapters, keys, strict=True)]

    def scores(params: Any, trunk: Any, x: jax.Array) -> jax.Array:
        for layer, adapter, own in zip(trunk, adapters, params, strict=False):
            x = jax.nn.relu(x @ layer["kernel"] + layer["bias"])
            x = adapter.apply(own, {}, x, train=True)[0]
        return x @ trunk[-1]["kernel"] + trunk[-1]["bias"]

    shapes = jax.eval_shape(lambda key: init(key, None), jax.random.key(0))
    return Arm(init, scores, sum(leaf.size for leaf in jax.tree.leaves(shapes)))


def dense_adapter(features: int, bottleneck: int) -> Functional:
    """A residual of a dense layer down, ReLU and a dense layer up, which is 0 at first.

    Args:
      features: of input and output.
      bottleneck: of the layer between.

    Returns:
      The layer.
    """

    def init(key: jax.Array) -> Any:
        down = dense_nets.dense_params(key, features, bottleneck)[0]
        up = {"kernel": jnp.zeros((bottleneck, features)), "bias": jnp.zeros(features)}
        return [down, up], {}

    def apply(params: Any, state: Any, x: jax.Array, **_: Any) -> Any:
        return x + dense_nets.dense(params, x), state

    return Functional(init, apply)
