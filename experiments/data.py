"""The data of a task, as a source of batches and a fixed set of test batches."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from experiments import tasks
from experiments.run_options import RunOptions
from jaxopt_lab.errors import InputError
from jaxopt_lab.training import data
from jaxopt_lab.typing import Batch


class TaskData(NamedTuple):
    """What a run needs to know of its data.

    Attributes:
      dataset: both parts of the set.
      test: test batches of one shape, padded.
    """

    dataset: data.Dataset
    test: Sequence[Batch]


def load(run: RunOptions, context: int) -> TaskData:
    """Read the data of a run's task.

    Args:
      run: names the task, the folder and the batch size.
      context: characters in an example of a text task.

    Returns:
      The data.

    Raises:
      InputError: the data are not there, damaged, or of another kind.
    """
    task = tasks.get(run.task)
    dataset = _read(task, run.data_dir, context)
    size = min(500, len(next(iter(dataset.test.values()))))
    return TaskData(dataset, data.evaluation_batches(dataset.test, size))


def _read(task: tasks.Task, folder: str, context: int) -> data.Dataset:
    # Each brings in its own heavy package.
    if task.source == "digits":
        from jaxopt_lab.training.data.digits import load_digits

        return load_digits(folder or None)
    if not folder:
        what = "the text file" if task.source == "text" else "the folder of its files"
        raise InputError(f"task {task.name} needs data_dir={what}")
    path = Path(folder).expanduser()
    if task.source == "idx":
        from jaxopt_lab.training.data.idx import load_fashion_mnist

        return load_fashion_mnist(path)
    if task.source == "text":
        from jaxopt_lab.training.data.text import load_text

        return load_text(path, context)
    from jaxopt_lab.training.data.tfds_sets import load_tfds

    return load_tfds(task.name.removeprefix("tfds:"), path)


def training_batches(
    run: RunOptions, dataset: data.Dataset, keys: jax.Array
) -> data.BatchSource:
    """The endless, shuffled training batches of a run.

    Args:
      run: names the batch size and the augmentation.
      dataset: the data.
      keys: one typed key, or one for each seed.

    Returns:
      The source, at its beginning.

    Raises:
      InputError: the set is smaller than a batch, or augmentation does not fit it.
    """
    augment = _augmentation(run, dataset)
    return data.ArrayBatches(dataset.train, run.batch_size, keys, augment=augment)


def _augmentation(run: RunOptions, dataset: data.Dataset) -> Any:
    if run.augment == "none":
        return None
    if dataset.kind != "image":
        raise InputError(
            f"augment={run.augment} is for images; task {run.task} has none"
        )
    crop = data.pad_crop(max(1, dataset.input_shape[0] // 8))
    return {
        "crop": crop,
        "flip": data.flip(),
        "crop_flip": data.compose(crop, data.flip()),
    }[run.augment]
