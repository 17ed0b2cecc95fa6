"""The tasks of the lab, by name; listing them imports nothing heavy."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from jaxopt_lab.core import errors
from jaxopt_lab.lab import imported


@dataclasses.dataclass(frozen=True)
class Task:
    """One row of the table.

    Attributes:
      name: what it is called on the command line.
      kind: ``"image"`` or ``"text"``, as the models' kinds; ``"any"``: the data say it.
      model: name of the model that ``model=auto`` stands for.
      description: one line for lists.
      source: where the data comes from: ``"digits"``, ``"idx"``, ``"text"``,
        ``"tfds"``, ``"npz"``, ``"folder"`` or ``"own"``.
      defaults: options of a run that this task sets otherwise.
      place: file, folder or ``my.module:load`` of the last three.
      given: the data themselves, where they have no place.
    """

    name: str
    kind: Literal["image", "text", "any"]
    model: str
    description: str
    source: Literal["digits", "idx", "text", "tfds", "npz", "folder", "own"]
    defaults: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    place: str = ""
    given: Any = dataclasses.field(default=None, compare=False, repr=False)


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


OWN = ("npz:FILE", "folder:DIR", "my.module:load")
"""The names of tasks whose data are one's own."""


def get(name: str) -> Task:
    """The task of a name.

    Args:
      name: a name of the table; ``tfds:NAME`` for any image-classification set of TFDS
        that is prepared in ``data_dir``; ``npz:FILE``, ``folder:DIR`` for images by
        class, or ``my.module:load``, a function that returns data as
        ``data.as_dataset`` takes them.

    Returns:
      The row.

    Raises:
      InputError: there is none; the message offers the nearest names.
    """
    source, _, place = name.partition(":")
    if source == "tfds" and place:
        return Task(name, "image", "resnet18", f"{place} of TFDS", "tfds")
    if source == "npz" and place:
        return Task(name, "any", "mlp", f"arrays of {place}", "npz", place=place)
    if source == "folder" and place:
        text = f"images by class in {place}"
        return Task(name, "image", "convnet", text, "folder", place=place)
    if imported.is_path(name):
        return Task(name, "any", "mlp", f"data of {name}", "own", place=name)
    if name not in TASKS:
        raise errors.unknown("task", name, [*TASKS, "tfds:NAME", *OWN])
    return TASKS[name]


def of_data(data: Any, name: str = "data") -> Task:
    """A task whose data are at hand.

    Args:
      data: as ``data.as_dataset`` takes them.
      name: of the task.

    Returns:
      The row.
    """
    return Task(name, "any", "mlp", "data at hand", "own", given=data)
