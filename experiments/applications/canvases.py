"""Canvases: images with several objects, their boxes, classes and pixels.

Objects are digits, or Fashion-MNIST from a folder, at any size; shared by the
applications that detect or segment.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.studies.fashion import fashion_mnist
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.data import load_digits

OPTIONS = {
    "fashion": "folder of Fashion-MNIST (its IDX files, or prepared TFDS sets), whose "
    "images are then the objects in place of digits"
}
CLASSES = 10
_TRIES = 30
_SHOWN = 0.2  # a pixel belongs to an object from this brightness on


class Objects(NamedTuple):
    """Images of single objects, split into those of training and of test canvases.

    Attributes:
      train: images ``(n, h, w)`` of values in 0 to 1, and their labels.
      test: likewise.
    """

    train: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]


class Canvases(NamedTuple):
    """Images with objects; of fewer than the most objects the rest has the label -1.

    Attributes:
      images: ``(n, size, size)`` of values in 0 to 1.
      boxes: centre row, centre column and side in pixels, ``(n, most, 3)``.
      labels: ``(n, most)``.
      owners: number of the object that a pixel shows, -1 for the background,
        ``(n, size, size)``.
    """

    images: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    owners: np.ndarray


def prepare(settings: Any, fashion: str | None = None) -> tuple[Any, dict[str, Any]]:
    """The options of a command, read; see ``Experiment``."""
    return settings, {"fashion": None if fashion is None else Path(fashion)}


def load_objects(fashion: Path | None = None) -> Objects:
    """Digits, or Fashion-MNIST from a folder.

    Args:
      fashion: the folder; ``None``: digits.

    Returns:
      The objects.

    Raises:
      InputError: the folder holds no Fashion-MNIST.
    """
    dataset = load_digits() if fashion is None else fashion_mnist(fashion)

    def part(arrays: Any) -> tuple[np.ndarray, np.ndarray]:
        images = np.asarray(arrays["image"], np.float32)[..., 0]
        return images / max(float(images.max()), 1.0), np.asarray(arrays["label"])

    return Objects(part(dataset.train), part(dataset.test))


def of_classes(objects: Objects, count: int) -> Objects:
    """The objects of the first classes.

    >>> images, labels = np.zeros((3, 8, 8)), np.array([0, 7, 1])
    >>> found = of_classes(Objects((images, labels), (images, labels)), 2)
    >>> found.test[1].tolist()
    [0, 1]
    """
    parts = ((x[y < count], y[y < count]) for x, y in objects)
    return Objects(*parts)


def resized(image: np.ndarray, side: int) -> np.ndarray:
    """A square image at another size, bilinear, with aligned corners.

    Args:
      image: ``(n, n)``.
      side: of the result.

    Returns:
      ``(side, side)``.

    >>> resized(np.array([[0.0, 2.0], [0.0, 2.0]]), 3)[0].tolist()
    [0.0, 1.0, 2.0]
    """
    places = np.linspace(0, len(image) - 1, side)
    apart = np.abs(places[:, None] - np.arange(len(image))[None])
    weights = np.maximum(0, 1 - apart)
    return weights @ image @ weights.T


def draw(
    objects: tuple[np.ndarray, np.ndarray],
    count: int,
    rng: np.random.Generator,
    *,
    size: int,
    sides: Sequence[int],
    fewest: int = 2,
    most: int = 4,
) -> Canvases:
    """Canvases with objects at places where none hides the centre of another.

    Args:
      objects: images and labels.
      count: number of canvases.
      rng: of all draws.
      size: of a canvas, in pixels.
      sides: of the objects, equally likely.
      fewest: objects of a canvas.
      most: objects of a canvas; fewer where there is no room.

    Returns:
      The canvases.

    Raises:
      InputError: an object is larger than a canvas, or there are no objects.
    """
    images, labels = objects
    if not len(images) or max(sides) > size:
        raise InputError(
            f"canvases of {size} pixels take objects of at most that size; got "
            f"{len(images)} images, sides up to {max(sides)}"
        )
    made = Canvases(
        np.zeros((count, size, size), np.float32),
        np.zeros((count, most, 3), np.float32),
        np.full((count, most), -1, np.int32),
        np.full((count, size, size), -1, np.int32),
    )
    for i in range(count):
        wanted, placed = int(rng.integers(fewest, most + 1)), 0
        for _ in range(_TRIES):
            side = int(rng.choice(np.asarray(sides)))
            row, column = rng.integers(0, size - side + 1, 2)
            box = np.array([row + side / 2, column + side / 2, side])
            if not _apart(box, made.boxes[i, :placed]):
                continue
            which = int(rng.integers(len(images)))
            shown = resized(images[which], side)
            place = np.s_[i, row : row + side, column : column + side]
            made.images[place] = np.maximum(made.images[place], shown)
            made.owners[place] = np.where(shown > _SHOWN, placed, made.owners[place])
            made.boxes[i, placed], made.labels[i, placed] = box, labels[which]
            placed += 1
            if placed == wanted:
                break
    return made


def _apart(box: np.ndarray, others: np.ndarray) -> bool:
    """Whether squares hardly overlap: along one axis by less than a fifth."""
    far = np.max(np.abs(others[:, :2] - box[:2]), axis=1)
    return bool(np.all(far > 0.4 * (others[:, 2] + box[2])))


def f1(right: int, found: int, there: int) -> float:
    """The harmonic mean of precision and recall.

    Args:
      right: number of right detections.
      found: of all detections.
      there: of all objects.

    Returns:
      Their F1 score; 0 where there is nothing at all.

    >>> f1(1, 2, 1)
    0.6666666666666666
    """
    return 2 * right / (found + there) if found + there else 0.0
