"""Sinks of run records: files of JSON lines, TensorBoard."""

from __future__ import annotations

import contextlib
import json
import math
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.files import make_writable, reason
from jaxopt_lab.runtime.atomic_files import write_atomically

# Fields of the records in which two bit-identical runs still differ.
WALL_CLOCK = frozenset({"time", "steps_per_second"})

_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class Sink(Protocol):
    """Receiver of the records of a run."""

    def write(self, step: int, record: Mapping[str, Any]) -> None:
        """Take one record.

        Args:
          step: number of steps taken when it was made.
          record: numbers, text and arrays (one number for each seed) by name.
        """
        ...

    def close(self) -> None:
        """Finish; nothing is written afterwards."""
        ...


class JsonLines:
    """Records as lines of JSON, one each: ``{"step": 50, "kind": "train", ...}``.

    Arrays become lists. Non-finite numbers are written as the text
    ``"NaN"``, ``"Infinity"`` or ``"-Infinity"``, so that every line is valid JSON;
    ``read_metrics`` converts it back. Types of less than 64 bits get the
    few digits that tell their values apart (``0.1``, not ``0.10000000149011612``).
    Each line is flushed to the system at once, so a killed run loses none.

    Args:
      path: the file; made with its folder if it is not there, else continued. A last
        line that was only half written is removed.
      resume_at: remove the lines of later steps: a killed run got further than the
        checkpoint from which it resumes. The old file stays until the new one is
        complete.

    Raises:
      InputError: the file cannot be written, or a line in it is no record.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sink = JsonLines(folder + "/metrics.jsonl")
    ...     sink.write(1, {"loss": np.float32(0.1), "seeds": np.arange(2)})
    ...     sink.close()
    ...     read_metrics(folder + "/metrics.jsonl")
    [{'step': 1, 'loss': 0.1, 'seeds': [0, 1]}]
    """

    def __init__(
        self, path: str | os.PathLike[str], *, resume_at: int | None = None
    ) -> None:
        self.path = Path(path)
        make_writable(self.path.parent)
        try:
            if self.path.exists():
                self._keep(resume_at)
            self._file = self.path.open("a", encoding="utf-8")
        except OSError as error:
            raise self._failed(error) from None

    def write(self, step: int, record: Mapping[str, Any]) -> None:
        """Append a line and flush it.

        Args:
          step: the step.
          record: what to write.

        Raises:
          InputError: the disk is full, the file is gone, or a value is neither a
            number nor text.
        """
        plain = {name: _plain(name, value) for name, value in record.items()}
        line = json.dumps({"step": int(step), **plain}, allow_nan=False)
        try:
            self._file.write(line + "\n")
            self._file.flush()
        except OSError as error:
            raise self._failed(error) from None

    def close(self) -> None:
        """Close the file; closing twice does nothing."""
        # Data refused by a full disk is still buffered; write has reported it.
        with contextlib.suppress(OSError):
            self._file.close()

    def _keep(self, resume_at: int | None) -> None:
        text = self.path.read_bytes()
        kept = b"".join(
            line
            for line, record in _lines(self.path, text)
            if resume_at is None or record["step"] <= resume_at
        )
        if kept != text:
            write_atomically(self.path, kept)

    def _failed(self, error: OSError) -> InputError:
        return InputError(f"cannot write {self.path}: {reason(error)}")


def read_metrics(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The records of a ``JsonLines`` file.

    Args:
      path: the file; may belong to a run that is still writing, or was killed in the
        middle of a line, which is then left out.

    Returns:
      One dictionary a line, in order.

    Raises:
      InputError: there is no such file, or a line is no record.
    """
    path = Path(path)
    try:
        text = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {reason(error)}") from None
    return [_numbers(record) for _, record in _lines(path, text)]


class TensorBoard:
    """Records for TensorBoard, through tensorboardX.

    Numbers become scalars ``kind/name``; an array becomes one scalar for each seed,
    ``kind/name/seed0``. Text is left out.

    Args:
      folder: folder of event files.
      resume_at: remove the events of later steps, as ``JsonLines`` does.

    Raises:
      InputError: tensorboardX is not installed, or the folder cannot be written.
    """

    def __init__(
        self, folder: str | os.PathLike[str], *, resume_at: int | None = None
    ) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError:
            raise InputError(
                "TensorBoard records need tensorboardX: pip install 'jaxopt_lab[log]'"
            ) from None
        make_writable(Path(folder))
        if resume_at is not None:
            from jaxopt_lab.runtime.event_files import keep_until

            try:
                keep_until(Path(folder), resume_at)
            except OSError as error:
                raise InputError(f"cannot write {folder}: {reason(error)}") from None
        # Files are named by the second: one more of the same second replaces the first.
        unique = f".{time.time_ns()}"
        self._writer = SummaryWriter(str(folder), filename_suffix=unique)

    def write(self, step: int, record: Mapping[str, Any]) -> None:
        """Add the numbers of a record.

        Args:
          step: the step.
          record: what to write.
        """
        kind = record.get("kind")
        for name, value in columns(record).items():
            self._writer.add_scalar(f"{kind}/{name}" if kind else name, value, step)

    def close(self) -> None:
        """Write what is still buffered and close."""
        self._writer.close()


def columns(record: Mapping[str, Any], *, text: bool = False) -> dict[str, Any]:
    """The numbers of a record, one a name.

    Args:
      record: as a sink gets it.
      text: keep text too.

    Returns:
      Floats; an array becomes one for each seed, ``name/seed0``.

    >>> columns({"loss": np.arange(2.0), "kind": "test"})
    {'loss/seed0': 0.0, 'loss/seed1': 1.0}
    """
    found: dict[str, Any] = {}
    for name, value in record.items():
        array = np.asarray(value)
        if array.dtype.kind in "USO":
            if text and isinstance(value, str):
                found[name] = value
        elif array.ndim == 0:
            found[name] = float(array)
        else:
            for i, one in enumerate(array.ravel()):
                found[f"{name}/seed{i}"] = float(one)
    return found


def _lines(path: Path, text: bytes) -> Iterable[tuple[bytes, dict[str, Any]]]:
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        if not line.endswith(b"\n"):
            return  # cut off while it was written
        try:
            record = json.loads(line)
            int(record["step"])
        except (ValueError, TypeError, KeyError):
            raise InputError(f"{path}: line {number} is no record of a run") from None
        yield line, record


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, str | bool) or value is None:
        return value
    array = np.asarray(value)
    if array.dtype.kind in "biu":
        return array.tolist()
    try:
        wide = array.astype(np.float64)
    except (TypeError, ValueError):
        raise InputError(
            f"a record holds numbers, text and arrays; {name} is of type "
            f"{type(value).__name__}"
        ) from None
    narrow = array.dtype.itemsize < 8 and array.dtype.kind != "O"
    return _listed(array if narrow else wide)


def _listed(array: np.ndarray) -> Any:
    if array.ndim:
        return [_listed(one) for one in map(np.asarray, array)]
    number = float(array)
    if math.isfinite(number):
        return float(str(array[()])) if array.dtype.itemsize < 8 else number
    if math.isnan(number):
        return "NaN"
    return "Infinity" if number > 0 else "-Infinity"


def _numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _numbers(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_numbers(one) for one in value]
    return _NOT_FINITE.get(value, value) if isinstance(value, str) else value
