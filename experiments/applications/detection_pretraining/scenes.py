"""Canvases as batches: tokens, boxes, embeddings of objects, and detections."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from experiments.applications.canvases import Canvases, resized
from experiments.applications.detection_pretraining.detector import (
    NOTHING,
    SIZE,
    patches,
)
from experiments.applications.detection_pretraining.objective import Batch

_CROP = 8


def crops(drawn: Canvases) -> np.ndarray:
    """The pixels in the boxes, all at one size; zeros where there is no object.

    Args:
      drawn: canvases.

    Returns:
      ``(n, objects, 64)``.
    """
    found = np.zeros((*drawn.labels.shape, _CROP * _CROP), np.float32)
    for i, j in np.argwhere(drawn.labels >= 0):
        row, column, side = drawn.boxes[i, j]
        corner = row - side / 2, column - side / 2
        top, left, size = (round(float(x)) for x in (*corner, side))
        inside = drawn.images[i, top : top + size, left : left + size]
        found[i, j] = resized(inside, _CROP).ravel()
    return found


def embedding(drawn: Canvases, width: int) -> Callable[[np.ndarray], np.ndarray]:
    """Principal components of the pixels of objects; no labels are used.

    Args:
      drawn: canvases whose objects are described.
      width: number of components.

    Returns:
      A function from ``crops`` to components ``(..., width)``, whose squares have the
      mean 1 over objects and components.
    """
    pixels = crops(drawn)[drawn.labels >= 0]
    mean = pixels.mean(axis=0)
    axes = np.linalg.svd(pixels - mean, full_matrices=False)[2][:width].T
    scale = np.sqrt(np.mean(np.square((pixels - mean) @ axes)))
    return lambda x: ((x - mean) @ axes / scale).astype(np.float32)


def batch_of(
    drawn: Canvases, embed: Callable[[np.ndarray], np.ndarray], *, classes: bool
) -> Batch:
    """All that is trained on.

    Args:
      drawn: canvases.
      embed: of ``embedding``.
      classes: False: every object has the label 0.

    Returns:
      Arrays with the canvases along their first axes.
    """
    labels = drawn.labels if classes else np.minimum(drawn.labels, 0)
    boxes = (drawn.boxes / SIZE).astype(np.float32)
    return Batch(patches(drawn.images), boxes, labels, embed(crops(drawn)))


def detections(
    probabilities: np.ndarray, boxes: np.ndarray, least: float
) -> list[np.ndarray]:
    """The queries that found an object, the most certain first.

    Args:
      probabilities: ``(n, queries, classes + 1)``, the last of nothing.
      boxes: ``(n, queries, 3)`` in sides of the image.
      least: probability that it is an object.

    Returns:
      For each canvas rows of probability, row, column and class.

    >>> p = np.zeros((1, 2, 11))
    >>> p[0, 0, 3], p[0, 1, 10] = 1.0, 1.0
    >>> detections(p, np.full((1, 2, 3), 0.5), 0.5)[0].tolist()
    [[1.0, 24.0, 24.0, 3.0]]
    """
    certain = 1 - probabilities[..., NOTHING]
    labels = np.argmax(probabilities[..., :NOTHING], axis=-1)
    rows = np.concatenate(
        [certain[..., None], SIZE * boxes[..., :2], labels[..., None]], axis=-1
    )
    kept = (own[own[:, 0] >= least] for own in rows)
    return [own[np.argsort(-own[:, 0], kind="stable")] for own in kept]
