"""Images in folders, one folder a class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.data.dataset import Dataset
from jaxopt_lab.data.optional import need
from jaxopt_lab.data.own import as_dataset

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")


def load_image_folder(folder: str | Path, size: int = 0) -> Dataset:
    """Images by class: ``FOLDER/CLASS/*.png``, or so below ``train`` and ``test``.

    Classes are numbered by the sorted names of their folders. Pixels stay uint8; grey
    images have one channel where all are grey, else all have three.

    Args:
      folder: of the class folders, or of ``train`` and ``test`` with them. Without
        these a fifth of the images, drawn at random and always the same, is the test.
      size: pixels a side to which images are brought (bilinear); 0: as they are.

    Returns:
      The set, in memory: uint8 ``(N, H, W, C)``.

    Raises:
      InputError: there is no such folder, fewer than two classes, an image cannot be
        read, sizes differ and none is given, or the parts have other classes.

    Example::

      dataset = load_image_folder("flowers", size=64)
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise InputError(f"no folder {folder}; accepted: one with a folder for a class")
    split = [folder / name for name in ("train", "test")]
    if all(part.is_dir() for part in split):
        classes = _classes(split[0])
        theirs = _classes(split[1])
        if theirs != classes:
            odd = sorted(set(classes) ^ set(theirs))
            raise InputError(
                f"{folder}: {', '.join(odd)} is a class in one of train and test only"
            )
        parts = [_read(part, classes, size) for part in split]
        grey = all(x.shape[-1] == 1 for x, _ in parts)
        train, test = ((x if grey else _colour(x), y) for x, y in parts)
        return as_dataset((train, test), folder.name)
    return as_dataset(_read(folder, _classes(folder), size), folder.name)


def _classes(folder: Path) -> list[str]:
    names = sorted(p.name for p in folder.iterdir() if p.is_dir())
    if len(names) < 2:
        there = ", ".join(names) or "none"
        raise InputError(
            f"{folder} has {len(names)} class(es): {there}; accepted: at least two "
            "folders of images, one a class"
        )
    return names


def _read(folder: Path, classes: list[str], size: int) -> tuple[np.ndarray, np.ndarray]:
    pixels: list[np.ndarray] = []
    labels: list[int] = []
    first = None
    for label, name in enumerate(classes):
        files = [
            p for p in sorted((folder / name).iterdir()) if p.suffix.lower() in ENDINGS
        ]
        if not files:
            raise InputError(
                f"{folder / name} has no image; accepted: {', '.join(ENDINGS)}"
            )
        for path in files:
            array = _pixels(path, size)
            first = array.shape[:2] if first is None else first
            if array.shape[:2] != first:
                raise InputError(
                    f"{path} has {array.shape[0]}x{array.shape[1]} pixels, those "
                    f"before {first[0]}x{first[1]}; give image_size= to resize all"
                )
            pixels.append(array)
            labels.append(label)
    if any(array.shape[-1] == 3 for array in pixels):
        pixels = [_colour(array) for array in pixels]
    return np.stack(pixels), np.asarray(labels, np.int32)


def open_image(path: Path, colour: bool | None = None) -> Any:
    """A picture as PIL has it, with one channel or three.

    Args:
      path: its file.
      colour: three channels; ``None``: as the file has it.

    Returns:
      The picture, in mode ``"L"`` or ``"RGB"``.

    Raises:
      InputError: it cannot be read, or pillow is not installed.
    """
    image = need("PIL.Image", "reading images")
    try:
        with image.open(path) as opened:
            grey = opened.mode in ("1", "L", "I", "I;16", "F")
            return opened.convert(
                "L" if (grey if colour is None else not colour) else "RGB"
            )
    except OSError as error:
        raise InputError(f"{path} is no image that can be read: {error}") from None


def resized(picture: Any, height: int, width: int) -> Any:
    """A picture of another size, bilinear.

    Args:
      picture: of ``open_image``.
      height: pixels.
      width: pixels.

    Returns:
      The picture.
    """
    resampling = need("PIL.Image", "reading images").Resampling
    return picture.resize((width, height), resampling.BILINEAR)


def _pixels(path: Path, size: int) -> np.ndarray:
    picture = open_image(path)
    if size:
        picture = resized(picture, size, size)
    array = np.asarray(picture)
    return array[..., None] if array.ndim == 2 else array


def _colour(pixels: np.ndarray) -> np.ndarray:
    """Three channels, equal where there was one."""
    return pixels if pixels.shape[-1] == 3 else np.repeat(pixels, 3, axis=-1)
