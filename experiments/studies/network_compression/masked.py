"""Chains of convolutions of any table, trained by one program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.studies.dense_nets import accuracy, mean_cross_entropy, normals
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


def as_chain(specs: Sequence[ConvSpec], layers: int) -> Chain:
    """The numbers of a table.

    Args:
      specs: the table; its first layer alone has a stride, of 2.
      layers: as many or more.

    Returns:
      The chain, its last layers off.
    """
    rest = layers - len(specs)
    padded = lambda values: np.array([*values, *[1] * rest], np.int32)
    on = np.arange(layers) < len(specs)
    return Chain(on, padded(s.kernel for s in specs), padded(s.outputs for s in specs))


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


def initial(key: jax.Array, chain: Chain, units: int) -> dict[str, Any]:
    """Weights in the largest shapes, of the scale of the table.

    Args:
      key: PRNG key.
      chain: the table.
      units: the most channels.

    Returns:
      Arrays by name: kernels of ``(9, units, units)``, the first of one input.
    """
    shares = _shares(chain, units)
    shapes = [(WINDOW, 1 if i == 0 else units, units) for i in range(len(shares))]
    *kernels, head = normals(key, *shapes, (units, CLASSES))
    scaled = [
        kernel * jnp.sqrt(2 / (jnp.sum(window) * jnp.sum(before)))
        for kernel, (window, before, _) in zip(kernels, shares, strict=True)
    ]
    return {
        "kernels": scaled,
        "biases": [jnp.zeros(units) for _ in shares],
        "head": head / jnp.sqrt(jnp.sum(shares[-1][2])),
        "head_bias": jnp.zeros(CLASSES),
    }


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
      labels: ``(examples,)``.
      logits: of the teacher, ``(examples, 10)``.
      from_teacher: 1: mean squares of the logits; 0: cross entropy of the labels.
    """

    inputs: Any
    labels: Any
    logits: Any
    from_teacher: Any


class Result(NamedTuple):
    """A network after its training.

    Attributes:
      valid: accuracy on the examples of the rewards.
      test: on those of the test.
      logits: on the training examples.
    """

    valid: float
    test: float
    logits: np.ndarray


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
        def run(
            chain: Chain,
            seed: jax.Array,
            index: jax.Array,
            told: Told,
            held: tuple[Labelled, ...],
        ) -> Any:
            # The body runs once for every compilation.
            self.compilations += 1

            def loss(params: Any, index: jax.Array) -> jax.Array:
                scores = outputs(params, chain, told.inputs[index])
                apart = jnp.mean(jnp.square(scores - told.logits[index]))
                hard = mean_cross_entropy(scores, told.labels[index])
                return jnp.where(told.from_teacher, apart, hard)

            start = initial(jax.random.key(seed), chain, config.units)
            params, _ = trained(loss, optax.adam(config.rate), start, index)
            right = [accuracy(outputs(params, chain, h.inputs), h.labels) for h in held]
            return right, outputs(params, chain, told.inputs)

        self._run = run

    def train(
        self,
        specs: Sequence[ConvSpec],
        seed: int,
        told: Told,
        held: tuple[Labelled, ...],
        *,
        long: bool = False,
    ) -> Result:
        """Train the network of a table.

        Args:
          specs: the table.
          seed: of the start and the batches.
          told: what it learns from.
          held: examples of the rewards and of the test.
          long: whether as a teacher, ``config.long`` steps.

        Returns:
          What came of it.
        """
        config = self._config
        size = (config.long if long else config.steps, config.batch)
        rng = np.random.default_rng(seed)
        index = rng.integers(0, len(told.labels), size).astype(np.int32)
        chain = as_chain(specs, config.layers)
        right, logits = self._run(chain, np.uint32(seed), index, told, held)
        return Result(*(float(r) for r in right), np.asarray(logits))
