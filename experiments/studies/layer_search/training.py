"""A network around a layer that a genome describes, trained by one program."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.studies import dense_nets, normed
from experiments.studies.layer_search.config import Config
from jaxopt_lab.losses.classification import cross_entropy
from jaxopt_lab.search import apply_genome, genome_params, reads_input


class Held(NamedTuple):
    """Flat digits with their labels, as many in all parts for judging.

    Attributes:
      inputs: ``(examples, 64)``.
      labels: ``(examples,)``.
    """

    inputs: jax.Array
    labels: jax.Array


class Trained(NamedTuple):
    """A candidate after its training.

    Attributes:
      accuracy: on the data that judge it; 0 where a number is not finite.
      steps: of its training; fewer for one that was rejected.
    """

    accuracy: float
    steps: int


class Trainer:
    """Trains candidates; all of them share one program for each length of a stage.

    Args:
      train: data to train on.
      config: the size of the study.
    """

    def __init__(self, train: Held, config: Config) -> None:
        self._train, self._config = train, config
        tx = optax.sgd(config.rate, momentum=0.9)
        self._init = jax.jit(lambda key: _start(key, tx, config))

        @jax.jit
        def stage(genome: Any, carry: Any, index: Any, train: Held, held: Held) -> Any:
            def loss(params: Any, index: jax.Array) -> jax.Array:
                scores = logits(genome, params, train.inputs[index], config.groups)
                return jnp.mean(cross_entropy(scores, train.labels[index]))

            def step(carry: Any, index: jax.Array) -> Any:
                params, state = carry
                updates, state = tx.update(jax.grad(loss)(params, index), state, params)
                return (optax.apply_updates(params, updates), state), None

            carry, _ = jax.lax.scan(step, carry, index)
            scores = logits(genome, carry[0], held.inputs, config.groups)
            right = dense_nets.accuracy(scores, held.labels)
            return carry, jnp.where(jnp.all(jnp.isfinite(scores)), right, 0)

        self._stage = stage

    def train(
        self, genome: np.ndarray, seed: int, held: Held, *, reject: bool = True
    ) -> Trained:
        """Train a network with a layer.

        Args:
          genome: of the layer.
          seed: of the start and the batches.
          held: data that judge it.
          reject: whether a candidate that learns nothing at first is given up.

        Returns:
          What came of it.
        """
        config = self._config
        if not reads_input(genome):
            return Trained(0.0, 0)
        rng = np.random.default_rng(seed)
        size = (config.first + config.rest, config.batch)
        index = rng.integers(0, len(self._train.labels), size).astype(np.int32)
        carry = self._init(jax.random.key(seed))
        done, accuracy = 0, 0.0
        for steps in (config.first, config.rest):
            part = index[done : done + steps]
            carry, found = self._stage(genome, carry, part, self._train, held)
            done, accuracy = done + steps, float(found)
            if reject and accuracy < config.least:
                break
        return Trained(accuracy, done)


def logits(genome: Any, params: Any, x: jax.Array, groups: int) -> jax.Array:
    """The scores of a convolution, the layer, and a linear one.

    Args:
      genome: of the layer.
      params: of the network.
      x: ``(examples, 64)``.
      groups: of the channels.

    Returns:
      ``(examples, 10)``.
    """
    places = normed.patches(x.reshape(-1, 8, 8, 1), 2)
    x = apply_genome(genome, params["layer"], places @ params["kernel"], groups=groups)
    return x.reshape(x.shape[0], -1) @ params["head"]


def _start(key: jax.Array, tx: Any, config: Config) -> Any:
    channels = config.channels
    first, last = jax.random.split(key)

    def draw(key: jax.Array, a: int, b: int, gain: float) -> jax.Array:
        end = (3 * gain / a) ** 0.5
        return jax.random.uniform(key, (a, b), minval=-end, maxval=end)

    params = {
        "kernel": draw(first, 9, channels, 2.0),
        "head": draw(last, 16 * channels, 10, 1.0),
        "layer": genome_params(channels),
    }
    return params, tx.init(params)
