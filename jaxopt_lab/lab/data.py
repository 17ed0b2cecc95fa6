"""The data of a task: batches to train on and batches to test on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxopt_lab import data
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import Batch
from jaxopt_lab.lab import imported, parts, tasks, validation
from jaxopt_lab.lab.run_options import RunOptions
from jaxopt_lab.lab.task_data import TaskData as TaskData
from jaxopt_lab.training.seeds import seed_keys

_TEST_BATCH = 500
_FIXED_BATCH = 256


def load(
    run: RunOptions,
    task: tasks.Task,
    context: int,
    *transforms: parts.Chosen,
    change: Callable[[data.Dataset], data.Dataset] | None = None,
) -> TaskData:
    """Read, or open, the data of a run's task.

    Sets that fit into memory are read once and live on the device. A TFDS set with
    ``image_size`` is streamed from its folder.

    Args:
      run: names the folder, the batch size and the seeds.
      task: the task.
      context: characters in an example of a text task.
      *transforms: the data transforms of the catalog that ``run.augment`` names.
      change: of a set in memory, before it is split; ``None``: it stays as it is.

    Returns:
      The data.

    Raises:
      InputError: the data are not there, damaged, of another kind, or an option does
        not fit them.
    """
    if task.kind == "text":
        _refuse_for_images(run)
    if run.image_size and task.source != "folder":
        if task.source != "tfds":
            raise InputError(
                f"image_size={run.image_size} is for sets of TFDS and folders of "
                f"images; task {run.task} is used at the size that it has"
            )
        if transforms:
            raise InputError(
                f"augment={run.augment} is for sets in memory; with "
                f"image_size={run.image_size} accepted: "
                + ", ".join(parts.AUGMENTATIONS)
            )
        if run.val:
            raise InputError(
                f"val={run.val} is for sets in memory; with image_size="
                f"{run.image_size} the best state is chosen by the test"
            )
        from jaxopt_lab.lab.streaming import stream

        opened = stream(run, task.name.removeprefix("tfds:"), _folder(task, run))
        return TaskData("image", *opened, fixed=lambda n: _first(opened[-1](), n))
    dataset = _read(task, run, context)
    if dataset.kind == "text":
        _refuse_for_images(run)
    dataset = dataset if change is None else change(dataset)
    aside = None
    if run.val:
        dataset, held = validation.split(dataset, run.val)
        aside = data.evaluation_batches(held, min(_TEST_BATCH, _length(held)))

    def shuffled(examples: Mapping[str, Any]) -> data.BatchSource:
        keys = data_keys(run)
        return data.ArrayBatches(
            examples,
            run.batch_size,
            keys if run.seeds > 1 else keys[0],
            augment=_augmentation(run, dataset, transforms),
        )

    def train(rows: range | None) -> data.BatchSource:
        del rows  # every process shuffles the whole of a set in memory
        return shuffled(dataset.train)

    def of_classes(classes: range) -> data.BatchSource:
        labels = np.asarray(dataset.train["label"])
        rows = np.flatnonzero((labels >= classes.start) & (labels < classes.stop))
        if len(rows) < run.batch_size:
            raise InputError(
                f"batch_size={run.batch_size} is more than the {len(rows)} training "
                f"examples of the classes {classes.start} to {classes.stop - 1}"
            )
        return shuffled({name: x[rows] for name, x in dataset.train.items()})

    def fixed(n: int) -> Sequence[Batch]:
        some = {name: values[:n] for name, values in dataset.train.items()}
        count = len(next(iter(some.values())))
        return data.evaluation_batches(some, min(_FIXED_BATCH, count))

    size = min(_TEST_BATCH, _length(dataset.test))
    return TaskData(
        dataset.kind,
        dataset.num_classes,
        dataset.input_shape,
        train,
        data.evaluation_batches(dataset.test, size),
        fixed,
        aside,
        dataset.characters,
        of_classes if dataset.kind == "image" else None,
    )


def _refuse_for_images(run: RunOptions) -> None:
    for name in ("augment", "image_size"):
        if getattr(run, name) not in ("none", 0):
            raise InputError(
                f"{name}={getattr(run, name)} is for images; task {run.task} has none"
            )


def _length(arrays: Mapping[str, Any]) -> int:
    return len(next(iter(arrays.values())))


def _first(batches: Iterable[Batch], n: int) -> Sequence[Batch]:
    """As many whole batches as hold n examples."""
    chosen, held = [], 0
    for batch in batches:
        chosen.append(batch)
        held += len(next(iter(batch.values())))
        if held >= n:
            break
    return chosen


def split_keys(key: jax.Array) -> jax.Array:
    """Keys of a seed's initial weights, steps, data order and optimizer.

    Args:
      key: root key of the seed.

    Returns:
      Four typed keys.
    """
    # Not fold_in beside split: their first children are equal keys.
    return jax.random.split(key, 4)


def data_keys(run: RunOptions) -> jax.Array:
    """The keys of the data order, one for each seed.

    Args:
      run: names the seeds.

    Returns:
      Typed keys, shape ``(seeds,)``.
    """
    return jax.vmap(lambda key: split_keys(key)[2])(seed_keys(run.seed, run.seeds))


def _folder(task: tasks.Task, run: RunOptions) -> Path:
    if not run.data_dir:
        what = "the text file" if task.source == "text" else "the folder of its files"
        raise InputError(f"task {task.name} needs data_dir={what}")
    return Path(run.data_dir).expanduser()


def _read(task: tasks.Task, run: RunOptions, context: int) -> data.Dataset:
    # Each brings in its own heavy package.
    if task.source == "digits":
        from jaxopt_lab.data.digits import load_digits

        return load_digits(run.data_dir or None)
    if task.source == "npz":
        return data.load_npz(task.place)
    if task.source == "folder":
        return data.load_image_folder(task.place, run.image_size)
    if task.source == "own":
        given = task.given
        if task.place:
            given = _called(task.place)
        return data.as_dataset(given, task.name)
    path = _folder(task, run)
    if task.source == "idx":
        from jaxopt_lab.data.idx import load_fashion_mnist

        return load_fashion_mnist(path)
    if task.source == "text":
        from jaxopt_lab.data.text import load_text

        return load_text(path, context)
    from jaxopt_lab.data.tfds_sets import NotInMemoryError, load_tfds

    try:
        return load_tfds(task.name.removeprefix("tfds:"), path)
    except NotInMemoryError as error:
        raise InputError(f"{error.reason}; image_size=224 streams it") from error


def _called(place: str) -> Any:
    """The data that a function of the user returns."""
    load = imported.load("task", place)
    if not callable(load):
        return load
    try:
        return load()
    except TypeError as error:
        raise InputError(f"task={place}() failed: {error}") from error


def _augmentation(
    run: RunOptions, dataset: data.Dataset, transforms: Sequence[parts.Chosen]
) -> Any:
    crop = data.pad_crop(max(1, dataset.input_shape[0] // 8))
    known = {
        "crop": crop,
        "flip": data.flip(),
        "crop_flip": data.compose(crop, data.flip()),
    }
    for transform in transforms:
        changed = parts.data_transform(transform, dataset.num_classes)
        known[transform.row.name] = changed
    chosen = [known[name] for name in run.augment.split(",") if name != "none"]
    if not chosen:
        return None
    return chosen[0] if len(chosen) == 1 else data.compose(*chosen)
