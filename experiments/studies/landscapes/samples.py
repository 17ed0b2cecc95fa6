"""Splits and the order of the batches, one of each for a seed."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.studies.landscapes.config import Config
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.data import ArrayBatches, Dataset
from jaxopt_lab.training import seed_keys


class Sample(NamedTuple):
    """The data of a seed; stacked, each with a leading axis of seeds.

    Attributes:
      train: places of the training examples in the whole set.
      validation: places of the validation examples.
      test: places of the test examples.
      order: for each step, places of its batch among the training examples.
      init_key: typed key of the initial parameters.
      step_key: typed key of the training.
      direction_key: typed key of the random directions.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    order: np.ndarray
    init_key: jax.Array
    step_key: jax.Array
    direction_key: jax.Array


def whole(dataset: Dataset) -> tuple[jax.Array, jax.Array]:
    """Both parts of a set as one, to be split anew.

    Args:
      dataset: a set of images.

    Returns:
      ``(images, labels)``.
    """
    parts = (dataset.train, dataset.test)
    images, labels = (
        np.concatenate([part[name] for part in parts]) for name in ("image", "label")
    )
    return jnp.asarray(images), jnp.asarray(labels)


def draw(config: Config, examples: int) -> Sample:
    """The samples of all seeds.

    Args:
      config: sizes of the parts.
      examples: number of examples of the whole set.

    Returns:
      The samples, stacked.

    Raises:
      InputError: the set has no example left for the test.
    """
    cut = config.train_examples
    end = cut + config.validation_examples
    if end >= examples:
        raise InputError(
            f"train_examples + validation_examples = {end}; accepted: less than the "
            f"{examples} examples of the set"
        )
    seeds = range(config.first_seed, config.first_seed + config.seeds)
    splits = [np.random.default_rng(seed).permutation(examples) for seed in seeds]
    places = np.stack(splits).astype(np.int32)
    keys = seed_keys(config.first_seed, config.seeds)
    source = ArrayBatches({"place": np.arange(cut)}, config.batch_size, keys)
    batches = [source.next()["place"] for _ in range(config.steps)]
    drawn = jax.vmap(lambda key: jax.random.split(key, 3))(keys)
    return Sample(
        train=places[:, :cut],
        validation=places[:, cut:end],
        test=places[:, end:],
        order=np.stack(batches, axis=1),
        init_key=drawn[:, 0],
        step_key=drawn[:, 1],
        direction_key=drawn[:, 2],
    )
