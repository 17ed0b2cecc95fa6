"""Points on spheres: digits by principal components, and a planted law."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from experiments.studies.samples import whole
from jaxopt_lab.data import load_digits
from jaxopt_lab.diagnostics import lift_to_sphere


class Split(NamedTuple):
    """A problem of two classes.

    Attributes:
      inner: inner products of training points, ``(n, n)``, exactly 1 on the diagonal.
      outer: of test points with these, ``(m, n)``.
      labels: of training points, -1 or 1, some of them wrong.
      right: the right classes of the test points.
    """

    inner: np.ndarray
    outer: np.ndarray
    labels: np.ndarray
    right: np.ndarray

    def error(self, values: np.ndarray) -> float:
        """The share of test points whose value has another sign than their class."""
        return float(np.mean(np.sign(values) != self.right))


def on_sphere(points: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Inner products of lifted points.

    Args:
      points: ``(n, d)``.
      count: training points, the first ones.

    Returns:
      Those among the training points and those of the others with them.
    """
    lifted = np.asarray(lift_to_sphere(jnp.asarray(points, jnp.float64)))
    gram = lifted @ lifted.T
    np.fill_diagonal(gram, 1.0)
    return gram[:count, :count], gram[count:, :count]


def flip(rng: np.random.Generator, labels: np.ndarray, part: float) -> np.ndarray:
    """Labels of which each is wrong with a probability.

    Args:
      rng: the generator.
      labels: -1 or 1.
      part: the probability.

    Returns:
      The labels.
    """
    return np.where(rng.uniform(size=len(labels)) < part, -labels, labels)


def planted(rng: np.random.Generator, count: int, tests: int, flipped: float) -> Split:
    """Points of a disk, whose class is likelier by the signs of both coordinates.

    Args:
      rng: the generator.
      count: training points.
      tests: test points.
      flipped: the probability of the other class, the Bayes error.

    Returns:
      The problem.
    """
    radius = np.sqrt(rng.uniform(size=count + tests))
    angle = rng.uniform(0, 2 * np.pi, count + tests)
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
    right = np.where(points[:, 0] * points[:, 1] > 0, 1.0, -1.0)
    inner, outer = on_sphere(points, count)
    return Split(inner, outer, flip(rng, right[:count], flipped), right[count:])


def digits(
    rng: np.random.Generator, count: int, wrong: float, dimensions: Sequence[int]
) -> list[Split]:
    """Threes against eights, by some of their principal components.

    Args:
      rng: the generator.
      count: training images.
      wrong: part of the training labels that are wrong.
      dimensions: numbers of principal components.

    Returns:
      The same split for every number of components.
    """
    images, classes = (np.asarray(x) for x in whole(load_digits()))
    chosen = rng.permutation(np.flatnonzero(np.isin(classes, (3, 8))))
    flat = images[chosen].reshape(len(chosen), -1).astype(np.float64)
    flat = flat - flat.mean(0)
    components = np.linalg.svd(flat, full_matrices=False)[2]
    right = np.where(classes[chosen] == 3, 1.0, -1.0)
    labels = flip(rng, right[:count], wrong)
    found = []
    for dimension in dimensions:
        inner, outer = on_sphere(flat @ components[:dimension].T, count)
        found.append(Split(inner, outer, labels, right[count:]))
    return found


def neighbours(given: Split, count: int) -> np.ndarray:
    """The mean label of the nearest training points.

    Args:
      given: the problem.
      count: how many.

    Returns:
      A value for each test point.
    """
    nearest = np.argsort(-given.outer, axis=1)[:, :count]
    return given.labels[nearest].mean(1)


def best_neighbours(given: Split, counts: Sequence[int]) -> int:
    """The number of neighbours that is best if a training point is left out.

    Args:
      given: the problem.
      counts: odd numbers.

    Returns:
      One of them.
    """
    others = given.inner - 2 * np.eye(len(given.inner))
    left_out = given._replace(outer=others, right=given.labels)
    return min(counts, key=lambda n: left_out.error(neighbours(left_out, n)))
