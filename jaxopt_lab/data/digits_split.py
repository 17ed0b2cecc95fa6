"""Train-test split of the digits."""

from __future__ import annotations

import numpy as np

NUM_TEST = 360


def held_out_rows(labels: np.ndarray, num_test: int = NUM_TEST) -> np.ndarray:
    """A fixed, stratified choice of test examples, from the labels alone.

    Class c with :math:`n_c` of the n examples gives :math:`n_c m / n` of the m test
    examples, rounded down; the rest comes from the classes with the
    largest remainders, the smaller class number first. Within a class with quota q the
    examples number :math:`\\lfloor (j + 1/2) n_c / q \\rfloor`, j = 0 .. q - 1, are
    taken: evenly spread, so every writer is in both parts. No random numbers, so
    no version of any library can change it.

    Args:
      labels: class of each example, integers, shape ``(n,)``.
      num_test: m, the number of test examples.

    Returns:
      The chosen rows, ascending, shape ``(num_test,)``.

    >>> held_out_rows(np.array([0, 1, 0, 1, 0, 1]), 2).tolist()
    [2, 3]
    """
    classes, counts = np.unique(labels, return_counts=True)
    quota, remainder = np.divmod(counts * num_test, len(labels))
    missing = num_test - quota.sum()
    quota[np.argsort(-remainder, kind="stable")[:missing]] += 1
    chosen = []
    for c, count, q in zip(classes, counts, quota, strict=True):
        places = (2 * np.arange(q) + 1) * count // (2 * max(q, 1))
        chosen.append(np.flatnonzero(labels == c)[places])
    return np.sort(np.concatenate(chosen))
