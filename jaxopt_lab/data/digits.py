"""Handwritten digits without a download: the embedded default set."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.files import make_writable, reason
from jaxopt_lab.data.dataset import Dataset, image_dataset
from jaxopt_lab.data.optional import need
from jaxopt_lab.data.tfds_folder import HalfWrittenError, check_complete
from jaxopt_lab.data.tfds_sets import ImageSource, read_all

DATA_VARIABLE = "JAXOPT_LAB_DATA"
_NAME, _VERSION = "digits", "1.0.0"
_LENGTHS = {"train": 1437, "test": 360}
_LEVELS = 16

Parts = dict[str, dict[str, np.ndarray]]


def cache_folder() -> Path:
    """The folder in which sets without a download are built.

    Returns:
      ``$JAXOPT_LAB_DATA`` if that is set, else ``~/.cache/jaxopt_lab/tfds``.
    """
    named = os.environ.get(DATA_VARIABLE)
    path = named if named else "~/.cache/jaxopt_lab/tfds"
    return Path(path).expanduser()


def load_digits(data_dir: str | Path | None = None) -> Dataset:
    """Handwritten digits, 8x8, 1,437 to train on and 360 to test on.

    The set is scikit-learn's, built on first use, offline, as a TFDS folder that any
    other program can read too (``tfds.data_source("digits", data_dir=...)``). The split
    is fixed and stratified, see ``digits_split``. A build happens in a folder beside
    the final one, which then gets its name in one step: processes may build at once,
    and a killed one leaves nothing that looks like a set. A half-written folder is
    rebuilt.

    Args:
      data_dir: folder to build into and to read from; default ``cache_folder()``.

    Returns:
      The set. Images are float32 of shape ``(N, 8, 8, 1)``, the 17 grey levels divided
      by 16: multiples of 1/16 in 0 to 1, exact in any floating type.

    Raises:
      InputError: the folder cannot be written, holds another set of that name, or a
        package is missing.

    Time: 0.1 s to read, 1 to 2 s to build, besides the import of tensorflow-datasets.

    Example::

      dataset = load_digits()
    """
    root = cache_folder() if data_dir is None else Path(data_dir).expanduser()
    folder = root / _NAME / _VERSION
    parts = None
    if folder.is_dir():
        try:
            parts = _read(folder)
        except HalfWrittenError as error:
            # Includes a folder that another process has just moved.
            logging.getLogger(__name__).warning("rebuilt: %s", error)
    if parts is None:
        parts = _build(root, folder)
    for part in parts.values():
        part["image"] = part["image"].astype(np.float32) / np.float32(_LEVELS)
    return image_dataset(_NAME, parts["train"], parts["test"], 10)


def _read(folder: Path) -> Parts:
    check_complete(folder, "load_digits()")
    parts = {
        split: read_all(ImageSource(folder, split, "image", "label"))
        for split in _LENGTHS
    }
    for split, count in _LENGTHS.items():
        image = parts[split]["image"]
        if image.shape != (count, 8, 8, 1) or image.max() > _LEVELS:
            raise InputError(
                f"{folder} holds another set called {_NAME}, with {split} images of "
                f"shape {image.shape}; accepted: {(count, 8, 8, 1)}, values up to "
                f"{_LEVELS}; name another folder with data_dir= or {DATA_VARIABLE}"
            )
    return parts


def _build(root: Path, folder: Path) -> Parts:
    for module in ("sklearn", "tensorflow_datasets", "array_record"):
        need(module, "the digits set")
    try:
        make_writable(folder.parent)
    except InputError as error:
        raise InputError(
            f"{error}; name another folder with data_dir= or {DATA_VARIABLE}"
        ) from None
    try:
        with tempfile.TemporaryDirectory(prefix=f".{_NAME}-", dir=root) as workshop:
            built = _prepare(workshop)
            # Read before publishing: other processes may replace the folder afterwards.
            parts = _read(built)
            _publish(built, folder, Path(workshop) / "replaced")
    except OSError as error:
        raise InputError(
            f"cannot build {_NAME} in {root}: {reason(error)}; name another folder "
            f"with data_dir= or {DATA_VARIABLE}"
        ) from None
    return parts


def _prepare(data_dir: str) -> Path:
    from jaxopt_lab.data.digits_builder import Digits

    builder: Any = Digits(data_dir=data_dir, file_format="array_record")
    # Silence TFDS: it announces a download and shows progress bars for a second.
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        builder.download_and_prepare()
    return Path(builder.data_path)


def _publish(built: Path, folder: Path, aside: Path) -> None:
    """Give a finished build its final name, unless a good one has it already."""
    for _ in range(2):
        try:
            os.rename(built, folder)
            return
        except OSError:
            if not folder.is_dir():
                raise
        with contextlib.suppress(HalfWrittenError):
            _read(folder)
            return
        # Only an unreadable folder is replaced. Another process may do the same at this
        # moment; its result is then used.
        with contextlib.suppress(OSError):
            shutil.rmtree(aside, ignore_errors=True)
            os.rename(folder, aside)
