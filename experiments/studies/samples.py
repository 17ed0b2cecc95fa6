"""Splits of a set, its labels and the order of its batches, one of each for a seed."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.data import ArrayBatches, Dataset
from jaxopt_lab.training import seed_keys


class Sample(NamedTuple):
    """The data of a seed, arrays; stacked, each with a leading axis of seeds.

    Attributes:
      train: places of the training examples in the set.
      validation: places of the validation examples.
      test: places of the test examples.
      labels: labels of the training examples, some of them wrong if flipped.
      order: for each step, places of its batch among the training examples.
      init_key: typed key of the initial parameters.
      step_key: typed key of the training.
      measure_key: typed key of the measurements: weight noise, random directions.
    """

    train: Any
    validation: Any
    test: Any
    labels: Any
    order: Any
    init_key: jax.Array
    step_key: jax.Array
    measure_key: jax.Array


class Sizes(NamedTuple):
    """Numbers of examples.

    Attributes:
      train: trained on.
      validation: on which settings are chosen.
      test: at most so many of the rest; ``None``: all.
      batch: in a batch.
    """

    train: int
    validation: int
    test: int | None
    batch: int


def whole(dataset: Dataset) -> tuple[jax.Array, jax.Array]:
    """Both parts of a set as one, to be split for each seed.

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


def draw(
    labels: jax.Array | np.ndarray,
    seeds: range,
    sizes: Sizes,
    *,
    steps: int,
    flipped: float = 0.0,
) -> Sample:
    """The samples of all seeds.

    Args:
      labels: labels of the whole set.
      seeds: consecutive seeds.
      sizes: of the parts.
      steps: number of batches.
      flipped: part of the training labels that are replaced by wrong ones, each of the
        other classes equally likely.

    Returns:
      The samples, stacked. Splits, keys and batches do not depend on the part of
      wrong labels.

    Raises:
      InputError: the set has no example left for the test.
    """
    host = np.asarray(labels)
    cut, end = sizes.train, sizes.train + sizes.validation
    if end >= len(host):
        raise InputError(
            f"train_examples + validation_examples = {end}; accepted: less than the "
            f"{len(host)} examples of the set"
        )
    last = None if sizes.test is None else end + sizes.test
    splits, targets = [], []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        split = rng.permutation(len(host))
        splits.append(split)
        targets.append(_wrong(host[split[:cut]], flipped, rng))
    places = np.stack(splits).astype(np.int32)
    keys = seed_keys(seeds.start, len(seeds))
    source = ArrayBatches({"place": np.arange(cut)}, sizes.batch, keys)
    batches = [source.next()["place"] for _ in range(steps)]
    drawn = jax.vmap(lambda key: jax.random.split(key, 3))(keys)
    return Sample(
        train=places[:, :cut],
        validation=places[:, cut:end],
        test=places[:, end:last],
        labels=np.stack(targets),
        order=np.stack(batches, axis=1),
        init_key=drawn[:, 0],
        step_key=drawn[:, 1],
        measure_key=drawn[:, 2],
    )


def _wrong(labels: np.ndarray, part: float, rng: np.random.Generator) -> np.ndarray:
    classes = int(labels.max()) + 1
    chosen = rng.permutation(len(labels))[: round(part * len(labels))]
    labels = labels.copy()
    shift = rng.integers(1, classes, len(chosen), dtype=labels.dtype)
    labels[chosen] = (labels[chosen] + shift) % classes
    return labels
