"""A part of the training set kept aside, by which the best state is chosen."""

from __future__ import annotations

import dataclasses

import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.data import Dataset


def split(dataset: Dataset, share: float) -> tuple[Dataset, dict[str, np.ndarray]]:
    """A set with a part of its training examples kept aside.

    Images are drawn at random, the same ones for every seed. Of a text the last
    windows are taken, and the training windows that overlap them are left out.

    Args:
      dataset: the set.
      share: of the training examples, in ``(0, 1)``.

    Returns:
      The set without them, and the examples kept aside.

    Raises:
      InputError: one of the parts would be empty.
    """
    count = len(next(iter(dataset.train.values())))
    kept = round(share * count)
    if dataset.kind == "image":
        order = np.random.default_rng(0).permutation(count)
        train, aside = np.sort(order[kept:]), np.sort(order[:kept])
    else:
        context = dataset.input_shape[0]
        overlap = -(-context // max(1, context // 4))
        train = np.arange(max(count - kept - overlap, 0))
        aside = np.arange(count - kept, count)
    if not len(train) or not len(aside):
        raise InputError(
            f"val={share} of {count} training examples leaves {len(train)} to train "
            f"on and {len(aside)} to validate; accepted: at least one each"
        )

    def of(rows: np.ndarray) -> dict[str, np.ndarray]:
        return {name: np.asarray(x)[rows] for name, x in dataset.train.items()}

    return dataclasses.replace(dataset, train=of(train)), of(aside)
