"""The tasks of the lab, by name; listing them imports nothing heavy."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from jaxopt_lab.core import errors


@dataclasses.dataclass(frozen=True)
class Task:
    """One row of the table.

    Attributes:
      name: what it is called on the command line.
      kind: ``"image"`` or ``"text"``, as the models' kinds.
      model: name of the model that ``model=auto`` stands for.
      description: one line for lists.
      source: where the data comes from: ``"digits"``, ``"idx"``, ``"text"`` or
        ``"tfds"``.
      defaults: options of a run that this task sets otherwise.
    """

    name: str
    kind: Literal["image", "text"]
    model: str
    description: str
    source: Literal["digits", "idx", "text", "tfds"]
    defaults: Mapping[str, Any] = dataclasses.field(default_factory=dict)


_ROWS = (
    Task(
        "digits",
        "image",
        "convnet",
        "1,797 handwritten digits of 8x8 pixels, built offline",
        "digits",
    ),
    Task(
        "fashion_mnist",
        "image",
        "convnet",
        "70,000 pictures of clothes, 28x28, from IDX files in data_dir",
        "idx",
        {"batch_size": 128, "augment": "none"},
    ),
    Task(
        "cifar10",
        "image",
        "resnet20",
        "60,000 pictures in 10 classes, 32x32, a prepared TFDS folder",
        "tfds",
        {"batch_size": 128, "augment": "crop_flip", "steps": 40_000},
    ),
    Task(
        "cifar100",
        "image",
        "wide_resnet",
        "60,000 pictures in 100 classes, 32x32, a prepared TFDS folder",
        "tfds",
        {"batch_size": 128, "augment": "crop_flip", "steps": 40_000},
    ),
    Task(
        "text",
        "text",
        "transformer",
        "next character of a text file given as data_dir",
        "text",
        {"batch_size": 32},
    ),
)

TASKS: dict[str, Task] = {row.name: row for row in _ROWS}


def get(name: str) -> Task:
    """The task of a name.

    Args:
      name: a name of the table, or ``tfds:NAME`` for any image-classification set
        of TFDS that is prepared in ``data_dir``.

    Returns:
      The row.

    Raises:
      InputError: there is none; the message offers the nearest names.
    """
    if name.startswith("tfds:") and len(name) > len("tfds:"):
        inner = name.removeprefix("tfds:")
        return Task(name, "image", "resnet18", f"{inner} of TFDS", "tfds")
    if name not in TASKS:
        raise errors.unknown("task", name, [*TASKS, "tfds:NAME"])
    return TASKS[name]
