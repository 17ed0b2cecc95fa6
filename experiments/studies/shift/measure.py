"""Accuracy of every kind of statistics in streams of corrupted digits."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.store import Store
from experiments.studies import dense_nets, normed, programs
from experiments.studies.fashion import fashion_mnist, of_eight
from experiments.studies.programs import Labelled
from experiments.studies.shift.config import Config
from jaxopt_lab.core.functional import Functional
from jaxopt_lab.data import corrupt
from jaxopt_lab.layers import (
    alpha_bn,
    components_of_source,
    ghost_batch_norm,
    unmix_tns,
)
from jaxopt_lab.losses.classification import cross_entropy

SOURCE, TEST, ALPHA, UNMIX = ARMS = ("source", "test batch", "alpha-BN", "UnMix-TNS")
DIGITS, FASHION = "digits", "Fashion-MNIST"
STREAMS = SHUFFLED, SORTED = ("shuffled", "sorted by class")


class Measured(NamedTuple):
    """Everything that is measured.

    Attributes:
      clean: by set, accuracy on clean images with the statistics of the source,
        ``(seeds,)``.
      accuracy: by set and arm, ``(seeds, streams, corruptions)``.
    """

    clean: dict[str, np.ndarray]
    accuracy: dict[str, dict[str, np.ndarray]]


def prepare(config: Config, fashion: str = "") -> tuple[Config, dict[str, Any]]:
    """The settings with the option of the command.

    Args:
      config: the size of the study.
      fashion: folder of Fashion-MNIST; empty: digits alone.

    Returns:
      The settings, and the arguments of ``measure``.
    """
    if not fashion:
        return config, {}
    sets = (*config.sets, FASHION)
    return dataclasses.replace(config, sets=sets), {"fashion": Path(fashion)}


def corrupted(config: Config, images: jax.Array) -> jax.Array:
    """Flat images under every corruption, the draws the same for all seeds.

    Args:
      config: the size of the study.
      images: ``(examples, 64)``.

    Returns:
      ``(corruptions, examples, 64)``.
    """
    whole = images.reshape(-1, 8, 8, 1)
    names: Any = config.corruptions
    keys = jax.random.split(jax.random.key(0), len(names))
    found = [
        corrupt(key, whole, name=name, severity=config.severity)
        for key, name in zip(keys, names, strict=True)
    ]
    return jnp.stack(found).reshape(len(names), -1, 64)


def stream(key: jax.Array, labels: jax.Array, by_class: jax.Array) -> jax.Array:
    """The order of a stream.

    Args:
      key: PRNG key.
      labels: of the test set.
      by_class: whether examples of a class follow one another, in an order of their
        own.

    Returns:
      Places, like the labels.
    """
    order = jax.random.permutation(key, labels.shape[0])
    return order[jnp.argsort(jnp.where(by_class, labels[order], 0), stable=True)]


def measure(config: Config, store: Store, fashion: Path | None = None) -> Measured:
    """Train on clean images, then run through every stream; see ``Experiment.measure``.

    Args:
      fashion: folder of Fashion-MNIST; ``None``: digits alone.
    """
    rows, clean, accuracy = store.group("runs"), {}, {}
    run = lambda key, *data: _run(key, data, config)
    for name in config.sets:
        train, test = programs.digits() if name == DIGITS else _fashion(fashion)
        changed = jax.jit(lambda x: corrupted(config, x))(test.inputs)
        data = train, test, changed
        take = lambda data=data: programs.over_seeds(run, config, *data, loop=True)
        row = rows.measured(name, take)
        clean[name] = row["clean"]
        accuracy[name] = {a: row["accuracy"][..., i] for i, a in enumerate(ARMS)}
    return Measured(clean, accuracy)


def _fashion(folder: Path | None) -> tuple[Labelled, Labelled]:
    data = fashion_mnist(None if folder is None else folder.expanduser())

    def part(part: Any, count: int) -> Labelled:
        labels = jnp.asarray(part["label"][:count], jnp.int32)
        return Labelled(of_eight(jnp.asarray(part["image"][:count])), labels)

    # As many as there are digits.
    return part(data.train, 1437), part(data.test, 360)


def networks(config: Config) -> dict[str, Functional]:
    """The same network around the statistics of every arm.

    Args:
      config: the size of the study.

    Returns:
      By arm; all take the parameters of the first.
    """
    channels = config.channels
    norms = {
        SOURCE: ghost_batch_norm(channels, ghost_size=config.batch),
        TEST: alpha_bn(channels, alpha=1.0),
        ALPHA: alpha_bn(channels, alpha=config.alpha),
        UNMIX: unmix_tns(
            channels, components=config.components, batch_size=config.test_batch
        ),
    }
    return {
        arm: normed.network(norm, channels, image=True) for arm, norm in norms.items()
    }


def _run(key: jax.Array, data: Any, config: Config) -> dict[str, jax.Array]:
    train, test, changed = data
    start, order, noise_key, stream_key = jax.random.split(key, 4)
    nets = networks(config)
    source = nets[SOURCE]
    index = programs.picks(order, config.steps, config.batch, len(train.labels))

    def loss(params: Any, states: Any, index: jax.Array) -> tuple[jax.Array, Any]:
        x, labels = train.inputs[index], train.labels[index]
        scores, states = source.apply(params, states, x, train=True)
        return jnp.mean(cross_entropy(scores, labels)), states

    tx = optax.sgd(config.rate, momentum=0.9)
    first = source.init(start)
    params, states = programs.trained_with_state(loss, tx, *first, index)
    shape = (len(states), config.components, config.channels)
    noise = jax.random.normal(noise_key, shape)
    unmixed = [
        {**state, **components_of_source(state, n)}
        for state, n in zip(states, noise, strict=True)
    ]

    def right(order: jax.Array, images: jax.Array) -> jax.Array:
        count = len(test.labels) // config.test_batch * config.test_batch
        places = order[:count].reshape(-1, config.test_batch)

        def step(unmixed: Any, place: jax.Array) -> Any:
            x, labels = images[place], test.labels[place]
            scores = [source.apply(params, states, x, train=False)[0]]
            for arm in (TEST, ALPHA):
                # From the source at every batch.
                scores.append(nets[arm].apply(params, states, x, train=True)[0])
            own, unmixed = nets[UNMIX].apply(params, unmixed, x, train=True)
            return unmixed, dense_nets.accuracy(jnp.stack([*scores, own]), labels[None])

        return jnp.mean(jax.lax.scan(step, unmixed, places)[1], axis=0)

    def in_stream(by_class: jax.Array) -> jax.Array:
        order = stream(stream_key, test.labels, by_class)
        return jax.lax.map(lambda images: right(order, images), changed)

    scores, _ = source.apply(params, states, test.inputs, train=False)
    return {
        "clean": dense_nets.accuracy(scores, test.labels),
        "accuracy": jax.lax.map(in_stream, jnp.array([False, True])),
    }
