"""Images and labels in IDX files, the format of MNIST and its variants."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.files import reason
from jaxopt_lab.data.dataset import Dataset, image_dataset

_UNSIGNED_BYTES = 0x08
_STEMS = {"train": "train", "test": "t10k"}


def read_idx(path: str | Path, rank: int) -> np.ndarray:
    """Read one IDX file of unsigned bytes.

    The format: two zero bytes, the type (8: unsigned byte), the rank, then one
    big-endian 32-bit size for each axis, then the values in C order.

    Args:
      path: the file; one that ends in ``.gz`` is unpacked.
      rank: the number of axes that it must have: 3 for images, 1 for labels.

    Returns:
      uint8 array.

    Raises:
      InputError: the file cannot be read or unpacked, is of another type or rank, or
        is shorter or longer than its header says.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
        if path.suffix == ".gz":
            raw = gzip.decompress(raw)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path} is damaged or cut off: {error}") from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {reason(error)}") from None
    magic = bytes((0, 0, _UNSIGNED_BYTES, rank))
    if raw[:4] != magic:
        raise InputError(
            f"{path} begins with {raw[:4].hex() or 'nothing'}; "
            f"accepted: {magic.hex()}, an IDX file of unsigned bytes with {rank} axes"
        )
    start = 4 + 4 * rank
    if len(raw) < start:
        raise InputError(f"{path} is cut off within its header ({len(raw)} bytes)")
    shape = struct.unpack(f">{rank}I", raw[4:start])
    wanted = start + math.prod(shape)
    if len(raw) != wanted:
        raise InputError(
            f"{path} has {len(raw)} bytes; its header of shape {shape} says {wanted}"
        )
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)


def load_fashion_mnist(folder: str | Path) -> Dataset:
    """Fashion-MNIST, 28x28 pictures of clothes, from its official files.

    Args:
      folder: holds ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte`` and the
        same with ``t10k``, each plain or with ``.gz``. MNIST's own files, which have
        the same names, are read as well.

    Returns:
      The set: uint8 images ``(N, 28, 28, 1)``, 60,000 to train on and 10,000 to test
      on in the official files.

    Raises:
      InputError: a file is missing or damaged, or images and labels do not fit.

    Example::

      dataset = load_fashion_mnist("data/fashion_mnist")
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise InputError(f"no folder {folder} with the IDX files of Fashion-MNIST")
    parts = {}
    for split, stem in _STEMS.items():
        images = read_idx(_find(folder, f"{stem}-images-idx3-ubyte"), 3)
        labels = read_idx(_find(folder, f"{stem}-labels-idx1-ubyte"), 1)
        parts[split] = {"image": images[..., None], "label": labels}
    return image_dataset("fashion_mnist", parts["train"], parts["test"], 10)


def _find(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    there = ", ".join(sorted(p.name for p in folder.iterdir()))[:200] or "nothing"
    raise InputError(f"no {name} or {name}.gz in {folder}; there: {there}")
