"""A large batch, with the remedies for it one after the other."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from experiments.studies import dense_nets, normed, programs
from experiments.studies.batch_size.config import Config
from experiments.studies.programs import Labelled
from jaxopt_lab.layers import ghost_batch_norm
from jaxopt_lab.losses.classification import cross_entropy
from jaxopt_lab.transforms.batching import regime_adaptation, scale_lr

SMALL, LARGE, RATE, GHOST, REGIME = ARMS = (
    "small batch",
    "large batch",
    "+ larger rate",
    "+ ghost batches",
    "+ as many steps",
)
"""Each of the last three with what the ones before it have."""


def schedule(arm: str, config: Config) -> tuple[Any, int]:
    """The learning rate by the step, and the number of steps.

    Args:
      arm: of ``ARMS``.
      config: the size of the study.

    Returns:
      They.
    """
    batch = config.small if arm == SMALL else config.large
    step = lambda epoch: jnp.where(epoch < 2 / 3 * config.epochs, 1.0, 0.1)
    rate: Any = config.rate
    epochs = config.epochs
    if arm in ARMS[2:]:
        rate = scale_lr(rate, batch, config.small, rule="sqrt")
    by_epoch = lambda epoch: rate * step(epoch)
    if arm == REGIME:
        by_epoch = regime_adaptation(by_epoch, batch, config.small)
        epochs *= -(-batch // config.small)
    a_epoch = config.examples // batch
    return lambda count: by_epoch(count / a_epoch), epochs * a_epoch


def run(
    key: jax.Array, data: tuple[Labelled, Labelled], arm: str, config: Config
) -> jax.Array:
    """The test accuracy of one arm.

    Args:
      key: of the weights and batches.
      data: for training and for the test.
      arm: of ``ARMS``.
      config: the size of the study.

    Returns:
      A number.
    """
    train, test = data
    batch = config.small if arm == SMALL else config.large
    ghost = config.small if arm in ARMS[3:] else batch
    norm = ghost_batch_norm(config.width, ghost_size=ghost)
    inputs = train.inputs.shape[1]
    net = normed.network(norm, config.width, image=False, inputs=inputs)
    rate, steps = schedule(arm, config)
    start, order = jax.random.split(key)
    # All steps of a run see fresh orders of whole epochs.
    index = programs.epochs(order, steps, batch, len(train.labels))

    def loss(params: Any, states: Any, index: jax.Array) -> tuple[jax.Array, Any]:
        x, labels = train.inputs[index], train.labels[index]
        scores, states = net.apply(params, states, x, train=True)
        return jnp.mean(cross_entropy(scores, labels)), states

    tx = optax.sgd(rate, momentum=0.9)
    params, states = programs.trained_with_state(loss, tx, *net.init(start), index)
    scores, _ = net.apply(params, states, test.inputs, train=False)
    return dense_nets.accuracy(scores, test.labels)
