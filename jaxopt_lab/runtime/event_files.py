"""TensorBoard's event files: records of later steps removed before a run resumes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jaxopt_lab.runtime.atomic_files import write_atomically

PATTERN = "events.out.tfevents.*"


def keep_until(folder: Path, step: int) -> None:
    """Remove the events of later steps, and records that were only half written.

    Args:
      folder: folder of event files.
      step: the step from which the run goes on.

    Raises:
      OSError: a file cannot be read or replaced; it is then as it was.
    """
    from tensorboardX.proto import event_pb2

    proto: Any = event_pb2
    for path in sorted(folder.glob(PATTERN)):
        content = path.read_bytes()
        kept = b"".join(
            record
            for record, data in _records(content)
            if _step(proto.Event(), data) <= step
        )
        if kept != content:
            write_atomically(path, kept)


def _step(event: Any, data: bytes) -> int:
    event.ParseFromString(data)
    return event.step


def _records(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Records of the TFRecord format: length, checksum, data, checksum."""
    at = 0
    while at + 12 <= len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        end = at + 12 + length + 4
        if end > len(content):
            return  # cut off while it was written
        yield content[at:end], content[at + 12 : end - 4]
        at = end
