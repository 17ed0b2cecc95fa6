"""In-memory data sets, checked before training."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.shapes import flattened

Split = Literal["train", "test"]
_BLOCK = 1 << 24


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Training and test part of a set, in host memory.

    Attributes:
      name: name of the set.
      kind: ``"image"`` or ``"text"``.
      train: the training examples. Images: ``{"image": (N, H, W, C), "label": (N,)}``
        with uint8 or float images and int32 labels. Text: ``{"inputs": (N, T),
        "targets": (N, T)}``, int32, the targets being the inputs shifted by one.
      test: the test examples, likewise.
      num_classes: number of classes, or of tokens.
      input_shape: shape of one example: ``(H, W, C)`` or ``(T,)``.
      characters: of a text, token i being character i; empty: not known.
    """

    name: str
    kind: Literal["image", "text"]
    train: Mapping[str, np.ndarray]
    test: Mapping[str, np.ndarray]
    num_classes: int
    input_shape: tuple[int, ...]
    characters: str = ""


def image_dataset(
    name: str,
    train: Mapping[str, np.ndarray],
    test: Mapping[str, np.ndarray],
    num_classes: int,
    rank: int | None = 4,
) -> Dataset:
    """A checked ``Dataset`` of images.

    Args:
      name: name of the set.
      train: ``{"image": (N, H, W, C), "label": (N,)}``.
      test: likewise.
      num_classes: number of classes.
      rank: of the images with the axis of examples; ``None``: any, for inputs that are
        no images.

    Returns:
      The set, its labels as int32.

    Raises:
      InputError: the set is unfit for training; see ``check_images``.

    >>> part = {"image": np.zeros((2, 4, 4, 1), np.uint8), "label": np.array([0, 1])}
    >>> image_dataset("toy", part, part, 2).input_shape
    (4, 4, 1)
    """
    shape = check_images(name, train, test, num_classes, rank)
    parts = [
        {**part, "label": np.asarray(part["label"]).astype(np.int32)}
        for part in (train, test)
    ]
    return Dataset(name, "image", parts[0], parts[1], num_classes, shape)


def check_images(
    name: str,
    train: Mapping[str, np.ndarray],
    test: Mapping[str, np.ndarray],
    num_classes: int,
    rank: int | None = 4,
) -> tuple[int, ...]:
    """Refuse images that are unfit for training.

    Args:
      name: name of the set; it begins every message.
      train: ``{"image": (N, H, W, C), "label": (N,)}``.
      test: likewise.
      num_classes: number of classes.
      rank: of the images, as in ``image_dataset``.

    Returns:
      The shape ``(H, W, C)`` of one image.

    Raises:
      InputError: an entry is missing, a part is empty, images are not of the rank or
        not alike in both parts, lengths differ, a label is not an integer in
        ``0 .. num_classes - 1``, or a float image is not finite. The message names the
        part and the first bad example.

    Cost: one pass over the data; 16 MiB at a time, so no second copy of it.
    """
    if num_classes < 1:
        raise InputError(f"{name}: num_classes={num_classes}; accepted: [1, inf)")
    train_shape = _check_part(name, "train", train, num_classes, rank)
    test_shape = _check_part(name, "test", test, num_classes, rank)
    if train_shape != test_shape:
        raise InputError(
            f"{name}, test: images of shape {test_shape}; accepted: {train_shape}, "
            "as in train"
        )
    return train_shape


def _check_part(
    name: str,
    split: Split,
    part: Mapping[str, np.ndarray],
    num_classes: int,
    rank: int | None,
) -> tuple[int, ...]:
    where = f"{name}, {split}"
    for entry in ("image", "label"):
        if entry not in part:
            got = ", ".join(part) or "nothing"
            raise InputError(f"{where}: no {entry!r}; it has {got}")
    image, label = np.asarray(part["image"]), np.asarray(part["label"])
    noun = "images" if rank == 4 else "inputs"
    fits = image.ndim > 1 if rank is None else image.ndim == rank
    if not fits or 0 in image.shape[1:]:
        wanted = "(N, height, width, channels)" if rank == 4 else "(N, ...)"
        raise InputError(
            f"{where}: {noun} of shape {image.shape}; accepted: {wanted}, none of them "
            "0"
        )
    if label.ndim != 1 or len(image) != len(label):
        raise InputError(
            f"{where}: {len(image)} {noun}, but labels of shape {label.shape}; "
            f"accepted: ({len(image)},), one label for each"
        )
    if len(image) == 0:
        raise InputError(f"{where}: the set is empty; accepted: at least one example")
    _check_labels(where, label, num_classes)
    _check_values(where, image)
    return image.shape[1:]


def _check_labels(where: str, label: np.ndarray, num_classes: int) -> None:
    if not np.issubdtype(label.dtype, np.integer):
        raise InputError(f"{where}: labels of dtype {label.dtype}; accepted: integers")
    bad = np.flatnonzero((label < 0) | (label >= num_classes))
    if bad.size:
        raise InputError(
            f"{where}: label {label[bad[0]]} of example {bad[0]} is out of range "
            f"({bad.size} such); accepted: 0 to {num_classes - 1}"
        )


def _check_values(where: str, image: np.ndarray) -> None:
    if image.dtype == np.uint8:
        return
    if not np.issubdtype(image.dtype, np.floating):
        raise InputError(
            f"{where}: values of dtype {image.dtype}; accepted: uint8 or floats"
        )
    at_once = max(1, _BLOCK // image[0].nbytes)
    for start in range(0, len(image), at_once):
        block = image[start : start + at_once]
        finite = flattened(np.isfinite(block)).all(axis=1)
        if not finite.all():
            first = int(np.argmin(finite))
            values = block[first]
            value = values[~np.isfinite(values)].flat[0]
            noun, part = ("image", "pixel") if image.ndim == 4 else ("input", "value")
            raise InputError(
                f"{where}: {noun} {start + first} has a {part} {value}; accepted: "
                "finite values"
            )
