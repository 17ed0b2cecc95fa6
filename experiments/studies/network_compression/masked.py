"""Chains of convolutions of any table, trained by one program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.studies.dense_nets import accuracy
from experiments.studies.network_compression.config import Config
from experiments.studies.normed import patches
from experiments.studies.programs import Labelled, trained
from jaxopt_lab.search import ConvSpec

SIDE, CLASSES, WINDOW = 8, 10, 9


class Chain(NamedTuple):
    """A table as numbers that a program takes, ``(layers,)`` each.

    Attributes:
      on: whether there is a layer; else its input passes.
      kernel: sizes of the windows.
      outputs: channels.
    """

    on: Any
    kernel: Any
    outputs: Any


def as_chain(specs: Sequence[ConvSpec], places: Sequence[int], layers: int) -> Chain:
    """The numbers of a table.

    Args:
      specs: the table; its first layer alone has a stride, of 2.
      places: of its layers among those of the teacher; the first is 0.
      layers: of the teacher.

    Returns:
      The chain, with the layers of the teacher that are not in the table off.
    """
    chain = Chain(np.zeros(layers, bool), *np.ones((2, layers), np.int32))
    for place, spec in zip(places, specs, strict=True):
        chain.on[place] = True
        chain.kernel[place], chain.outputs[place] = spec.kernel, spec.outputs
    return chain


def _shares(chain: Chain, units: int) -> list[tuple[jax.Array, jax.Array, Any]]:
    """Window and channels of every layer, 1 where a weight is of the table."""
    found, before = [], jnp.arange(units) < 1
    for i in range(chain.kernel.shape[0]):
        size, place = chain.kernel[i], jnp.arange(3)
        # XLA pads less in front: nothing with a stride of 2, else (size - 1) // 2.
        first = 0 if i == 0 else 1 - (size - 1) // 2
        side = (place >= first) & (place < first + size)
        window = (side[:, None] & side[None]).ravel()
        own = jnp.where(chain.on[i], jnp.arange(units) < chain.outputs[i], before)
        found.append((window, before, own))
        before = own
    return found


def initial(seed: int, specs: Sequence[ConvSpec], units: int) -> dict[str, Any]:
    """Weights in the largest shapes, of the scale of a teacher's.

    Args:
      seed: of the draws, on the host.
      specs: the table of the teacher.
      units: the most channels.

    Returns:
      Arrays by name: kernels of ``(9, units, units)``, the first of one input.
    """
    rng, before, kernels = np.random.default_rng(seed), 1, []
    for i, spec in enumerate(specs):
        draw = rng.normal(size=(WINDOW, 1 if i == 0 else units, units))
        kernels.append(draw * (2 / (WINDOW * before)) ** 0.5)
        before = spec.outputs
    found = {
        "kernels": kernels,
        "biases": [np.zeros(units) for _ in specs],
        "head": rng.normal(size=(units, CLASSES)) / before**0.5,
        "head_bias": np.zeros(CLASSES),
    }
    return jax.tree.map(np.float32, found)


def first_patches(x: jax.Array) -> jax.Array:
    """The windows of the first layer, at every other position.

    Args:
      x: ``(B, 64)``.

    Returns:
      ``(B, 4, 4, 9)``.
    """
    wide = jnp.pad(x.reshape(-1, SIDE, SIDE), ((0, 0), (0, 1), (0, 1)))
    places = [(i, j) for i in range(3) for j in range(3)]
    return jnp.stack(
        [wide[:, i : i + SIDE : 2, j : j + SIDE : 2] for i, j in places], -1
    )


def outputs(params: Any, chain: Chain, x: jax.Array) -> jax.Array:
    """Scores of the network of a table.

    Args:
      params: of ``initial``.
      chain: the table.
      x: ``(B, 64)``.

    Returns:
      ``(B, 10)``.
    """
    units = params["head"].shape[0]
    for i, (window, _, own) in enumerate(_shares(chain, units)):
        # Channels that the layer before does not have are 0.
        kernel = params["kernels"][i] * window[:, None, None] * own
        places = first_patches(x) if i == 0 else patches(x)
        y = places @ kernel.reshape(-1, units) + params["biases"][i] * own
        x = jax.nn.relu(y) if i == 0 else jnp.where(chain.on[i], jax.nn.relu(y), x)
    return jnp.mean(x, axis=(1, 2)) @ params["head"] + params["head_bias"]


class Told(NamedTuple):
    """What a network learns from.

    Attributes:
      inputs: ``(examples, 64)``.
      goals: probabilities of the classes, ``(examples, 10)``.
    """

    inputs: Any
    goals: Any


class Result(NamedTuple):
    """A network after its training.

    Attributes:
      valid: accuracy on the examples of the rewards.
      test: on those of the test.
      params: its weights, in the largest shapes.
      goals: its probabilities of the classes, on the training examples.
    """

    valid: float
    test: float
    params: Any
    goals: np.ndarray


class Trainer:
    """Trains the networks of tables; a program for each number of steps.

    Args:
      config: the size of the study.

    Attributes:
      compilations: how often a program was compiled.
    """

    def __init__(self, config: Config) -> None:
        self.compilations, self._config = 0, config

        @jax.jit
        def run(chain: Chain, start: Any, index: Any, told: Told, held: Any) -> Any:
            # The body runs once for every compilation.
            self.compilations += 1

            def loss(params: Any, index: jax.Array) -> jax.Array:
                scores = outputs(params, chain, told.inputs[index])
                goals = told.goals[index]
                return jnp.mean(optax.softmax_cross_entropy(scores, goals))

            params, _ = trained(loss, optax.adam(config.rate), start, index)
            right = [accuracy(outputs(params, chain, h.inputs), h.labels) for h in held]
            goals = jax.nn.softmax(outputs(params, chain, told.inputs))
            return *right, params, goals

        self._run = run

    def train(
        self,
        chain: Chain,
        start: Any,
        seed: int,
        told: Told,
        held: tuple[Labelled, ...],
        *,
        long: bool = False,
    ) -> Result:
        """Train the network of a table.

        Args:
          chain: the table.
          start: weights in the largest shapes, of which those of the table are taken.
          seed: of the batches.
          told: what it learns from.
          held: examples of the rewards and of the test.
          long: whether as a teacher, ``config.long`` steps.

        Returns:
          What came of it.
        """
        config = self._config
        size = (config.long if long else config.steps, config.batch)
        rng = np.random.default_rng(seed)
        index = rng.integers(0, len(told.goals), size).astype(np.int32)
        found = jax.device_get(self._run(chain, start, index, told, held))
        return Result(float(found[0]), float(found[1]), *found[2:])
