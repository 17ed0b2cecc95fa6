"""Test accuracy of the target with every guide."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.store import Store
from experiments.studies import dense_nets, programs, small_data
from experiments.studies.guidance.config import Config
from experiments.studies.programs import Labelled
from jaxopt_lab.losses import guidance, linear_cka

ALONE, CONTROL = "alone", "untrained perceptron"
TRAINED, CONVOLUTIONS = "trained perceptron", "untrained convolutions"
ARMS = (ALONE, TRAINED, CONVOLUTIONS, CONTROL)


class Measured(NamedTuple):
    """Everything that is measured, ``(seeds,)`` by arm.

    Attributes:
      accuracy: of the test.
      train: of the training set.
      alike: mean linear CKA of the target's layers and the convolutions on the test.
      guide: test accuracy of the trained guide, in every arm.
    """

    accuracy: dict[str, np.ndarray]
    train: dict[str, np.ndarray]
    alike: dict[str, np.ndarray]
    guide: dict[str, np.ndarray]


def measure(config: Config, store: Store) -> Measured:
    """Train the target with every guide; see ``Experiment.measure``."""
    data = small_data.all_digits()
    run = lambda key, x, y: _run(key, Labelled(x, y), config)
    take = lambda: programs.over_seeds(run, config, *data, loop=True)
    row = store.group("runs").measured("all guides", take)
    of = lambda name: {arm: row[name][:, i] for i, arm in enumerate(ARMS)}
    return Measured(*map(of, Measured._fields))


def layers(params: Any, x: jax.Array) -> list[jax.Array]:
    """The hidden layers and the outputs.

    Args:
      params: of ``dense_nets.dense_params``.
      x: flat digits.

    Returns:
      One array a layer.
    """
    found = []
    for i, layer in enumerate(params):
        x = dense_nets.dense([layer], x)
        x = jax.nn.relu(x) if i + 1 < len(params) else x
        found.append(x)
    return found


def convolved(key: jax.Array, x: jax.Array, channels: int) -> list[jax.Array]:
    """Two layers of random 3 x 3 convolutions with ReLU.

    Args:
      key: PRNG key.
      x: flat digits.
      channels: of both layers.

    Returns:
      Both, flat.
    """
    keys, images, found = jax.random.split(key), x.reshape(-1, 8, 8, 1), []
    for key in keys:
        shape = 3, 3, images.shape[-1], channels
        kernel = jax.random.normal(key, shape, x.dtype)
        kernel = kernel * (2 / (9 * shape[2])) ** 0.5
        images = jax.lax.conv_general_dilated(
            images, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        images = jax.nn.relu(images)
        found.append(images.reshape(len(images), -1))
    return found


def _run(key: jax.Array, data: Labelled, config: Config) -> dict[str, jax.Array]:
    keys = jax.random.split(key, 6)
    data = small_data.noisy(keys[0], data, config.noise)
    train, test = small_data.parts(keys[1], data, config.train)
    places = programs.picks(keys[2], config.steps, config.batch, config.train)
    entropy = optax.softmax_cross_entropy_with_integer_labels
    tx = optax.adam(config.rate)

    def plain(params: Any, batch: Labelled) -> jax.Array:
        return jnp.mean(entropy(dense_nets.dense(params, batch.inputs), batch.labels))

    wide = config.guide_width
    untrained = dense_nets.dense_params(keys[3], 64, wide, wide, 10)
    batches = small_data.picked(train, places)
    trained, _ = programs.trained(plain, tx, untrained, batches)
    # Guides are functions of the images: nothing of them is in the loop, where
    # convolutions are slow. All have the shape of the largest, filled up with zeros.
    guides = [
        layers(trained, train.inputs)[:2],
        convolved(keys[4], train.inputs, config.channels),
        layers(untrained, train.inputs)[:2],
    ]
    size = max(x.shape[1] for guide in guides for x in guide)
    filled = [
        [jnp.pad(x, ((0, 0), (0, size - x.shape[1]))) for x in guide]
        for guide in (guides[0], *guides)
    ]
    weights = config.weight * jnp.array([0.0, 1.0, 1.0, 1.0])
    widths = [config.width] * config.depth
    start = dense_nets.dense_params(keys[5], 64, *widths, 10)
    guided = config.depth // 3 - 1, 2 * config.depth // 3 - 1
    tested = convolved(keys[4], test.inputs, config.channels)

    def one(given: Any) -> tuple[jax.Array, ...]:
        weight, guide = given

        def loss(params: Any, at: jax.Array) -> jax.Array:
            batch = small_data.picked(train, at)
            found = layers(params, batch.inputs)
            own = [found[i] for i in guided]
            more = guidance(own, guide=[x[at] for x in guide])
            return jnp.mean(entropy(found[-1], batch.labels)) + weight * more

        params, _ = programs.trained(loss, tx, start, places)
        found = layers(params, test.inputs)
        alike = [linear_cka(found[i], x) for i, x in zip(guided, tested, strict=True)]
        return (
            dense_nets.accuracy(found[-1], test.labels),
            dense_nets.accuracy(dense_nets.dense(params, train.inputs), train.labels),
            (alike[0] + alike[1]) / 2,
            dense_nets.accuracy(dense_nets.dense(trained, test.inputs), test.labels),
        )

    stacked = jax.tree.map(lambda *x: jnp.stack(x), *filled)
    found = jax.lax.map(one, (weights, stacked))
    return dict(zip(Measured._fields, found, strict=True))
