"""Splits, wrong labels and the order of the batches, one of each for a seed."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.studies.sharpness.config import Panel
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.data import ArrayBatches
from jaxopt_lab.training import seed_keys


class Sample(NamedTuple):
    """The data of a seed; stacked, each with a leading axis of seeds.

    Attributes:
      train: places of the training examples in the set.
      validation: places of the validation examples.
      test: places of the test examples.
      labels: labels of the training examples, some of them wrong if flipped.
      order: for each step, places of its batch among the training examples.
      init_key: typed key of the initial parameters.
      step_key: typed key of the training.
      noise_key: typed key of the weight noise.
    """

    train: jax.Array
    validation: jax.Array
    test: jax.Array
    labels: jax.Array
    order: jax.Array
    init_key: jax.Array
    step_key: jax.Array
    noise_key: jax.Array


def draw(panel: Panel, labels: jax.Array, first_seed: int, *, steps: int) -> Sample:
    """The samples of all seeds.

    Args:
      panel: sizes of the parts, and the part of the training labels that are replaced
        by wrong ones, each of the other classes equally likely.
      labels: labels of the whole set.
      first_seed: the first of consecutive seeds.
      steps: number of batches.

    Returns:
      The samples, stacked. Splits, keys and batches do not depend on the part of
      wrong labels.

    Raises:
      InputError: the set has no example left for the test.
    """
    host = np.asarray(labels)
    cut = panel.train_examples
    end = cut + panel.validation_examples
    if end >= len(host):
        raise InputError(
            f"train_examples + validation_examples = {end}; accepted: less than the "
            f"{len(host)} examples of the set"
        )
    splits, targets = [], []
    for seed in range(first_seed, first_seed + panel.seeds):
        rng = np.random.default_rng(seed)
        split = rng.permutation(len(host))
        splits.append(split)
        targets.append(_wrong(host[split[:cut]], panel.flipped, rng))
    places = jnp.asarray(np.stack(splits), jnp.int32)
    keys = seed_keys(first_seed, panel.seeds)
    source = ArrayBatches({"place": np.arange(cut)}, panel.batch_size, keys)
    drawn = jax.vmap(lambda key: jax.random.split(key, 3))(keys)
    batches = [source.next()["place"] for _ in range(steps)]
    return Sample(
        train=places[:, :cut],
        validation=places[:, cut:end],
        test=places[:, end : end + panel.test_examples],
        labels=jnp.asarray(np.stack(targets)),
        order=jnp.stack(batches, axis=1),
        init_key=drawn[:, 0],
        step_key=drawn[:, 1],
        noise_key=drawn[:, 2],
    )


def _wrong(labels: np.ndarray, part: float, rng: np.random.Generator) -> np.ndarray:
    classes = int(labels.max()) + 1
    chosen = rng.permutation(len(labels))[: round(part * len(labels))]
    labels = labels.copy()
    shift = rng.integers(1, classes, len(chosen), dtype=labels.dtype)
    labels[chosen] = (labels[chosen] + shift) % classes
    return labels
