"""Online learning on tasks that follow one another, each example seen once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np

from experiments.studies.critical_momenta import networks
from experiments.studies.critical_momenta.config import Config
from experiments.studies.critical_momenta.methods import Row
from experiments.studies.fashion import fashion_mnist, pooled
from jaxopt_lab.data import load_digits
from jaxopt_lab.losses import classification as losses
from jaxopt_lab.training import seed_keys

Change = Literal["labels", "rotation"]
CHANGES: tuple[Change, ...] = get_args(Change)


class Stream(NamedTuple):
    """Batches of all seeds.

    Attributes:
      images: shape ``(seeds, steps, B, H, W, C)``.
      labels: shape ``(seeds, steps, B)``.
    """

    images: jax.Array
    labels: jax.Array


class Examples(NamedTuple):
    """The set that the tasks are drawn from.

    Attributes:
      name: of the set.
      images: shape ``(N, H, W, C)``, float32.
      labels: shape ``(N,)``.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray


def examples(fashion: Path | None) -> Examples:
    """Read the set.

    Args:
      fashion: folder of Fashion-MNIST; ``None``: digits.

    Returns:
      Its training part; Fashion-MNIST at half the size.

    Raises:
      InputError: the data are not there.
    """
    name = "digits" if fashion is None else "Fashion-MNIST"
    dataset = load_digits() if fashion is None else fashion_mnist(fashion)
    images = jnp.asarray(dataset.train["image"])
    if fashion is not None:
        images = pooled(images)
    return Examples(
        name, np.asarray(images, np.float32), np.asarray(dataset.train["label"])
    )


def streams(change: Change, config: Config, source: Examples) -> Stream:
    """Tasks one after the other, drawn for each seed.

    Args:
      change: the difference between tasks: ``"labels"``, the classes have other names;
        ``"rotation"``, all images are turned by a multiple of 90 degrees.
      config: number of tasks, steps, seeds.
      source: what they are drawn from.

    Returns:
      The batches; those of the seeds that choose come first.
    """
    _, images, labels = source
    size = config.stream_steps * config.batch_size
    all_images, all_labels = [], []
    for seed in range(2 * config.seeds):
        rng = np.random.default_rng(config.first_seed + seed)
        for task in range(config.stream_tasks):
            chosen = rng.permutation(len(labels))[:size]
            if len(chosen) < size:
                # A small set is gone through more than once in a long task.
                chosen = rng.integers(0, len(labels), size)
            some, named = images[chosen], labels[chosen]
            if change == "labels":
                named = rng.permutation(10)[named]
            elif task:
                some = np.rot90(some, task % 4, axes=(1, 2))
            all_images.append(some)
            all_labels.append(named)
    lead = (
        2 * config.seeds,
        config.stream_tasks * config.stream_steps,
        config.batch_size,
    )
    stacked = np.concatenate(all_images).reshape(*lead, *images.shape[1:])
    names = np.concatenate(all_labels).reshape(lead).astype(np.int32)
    return Stream(jnp.asarray(stacked), jnp.asarray(names))


def accuracies(row: Row, stream: Stream, config: Config) -> np.ndarray:
    """Accuracy on every batch before it is learned from, averaged over a run.

    Args:
      row: the optimizer.
      stream: the batches.
      config: step sizes and seeds.

    Returns:
      Shape ``(rates, 2 * seeds)``.
    """
    model = networks.dense(config.stream_width, stream.images.shape[3:])
    loss_fn = losses.classification_loss(model)

    def run(rate: jax.Array, key: jax.Array, images: Any, labels: Any) -> jax.Array:
        batches = {"image": images, "label": labels}
        seen = networks.follow(model, loss_fn, row.make(rate), key, batches)[1]
        return jnp.mean(seen["accuracy"])

    over_seeds = jax.vmap(run, (None, 0, 0, 0))
    program = jax.jit(jax.vmap(over_seeds, (0, None, None, None)))
    rates = jnp.asarray(config.stream_rates, jnp.float32)
    keys = seed_keys(config.first_seed, len(stream.labels))
    return np.asarray(program(rates, keys, *stream))
