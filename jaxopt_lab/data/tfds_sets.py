"""Image-classification sets of tensorflow-datasets, read without TensorFlow."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.data.dataset import Dataset, image_dataset
from jaxopt_lab.data.optional import need
from jaxopt_lab.data.tfds_folder import HalfWrittenError, find_prepared

MAX_BYTES = 4 * 2**30


class ImageSource:
    """Random access to the examples of one split of a prepared folder.

    Args:
      folder: the folder of the version.
      split: a split of TFDS, sub-splits such as ``"train[:80%]"`` included.
      image: name of the feature with the image.
      label: name of the feature with the class.

    Memory: negligible; every access reads and decodes one record. Pickled as its
    arguments, for worker processes.
    """

    def __init__(self, folder: Path, split: str, image: str, label: str) -> None:
        self._arguments = (folder, split, image, label)
        self._folder, self._split, self._image, self._label = self._arguments
        self._source: Any = None

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), self._arguments)

    def _records(self) -> Any:
        if self._source is None:
            builder = open_folder(self._folder)
            try:
                self._source = builder.as_data_source(self._split)
            except Exception as error:
                raise InputError(
                    f"cannot read the split {self._split!r} of {self._folder}: "
                    f"{one_line(error)}"
                ) from None
        return self._source

    def __len__(self) -> int:
        """Number of examples."""
        return len(self._records())

    def __getitem__(self, index: Any) -> dict[str, np.ndarray]:
        """Example ``index``: ``{"image": (H, W, C), "label": ()}``, label int32.

        Raises:
          HalfWrittenError: the record cannot be read or decoded.
        """
        records = self._records()
        try:
            example = records[index]
        except IndexError:
            raise
        except Exception as error:
            raise HalfWrittenError(
                f"cannot read example {index} of {self._split!r} in {self._folder}: "
                f"{one_line(error)}; if the files are damaged, remove the folder and "
                "build it again with: tfds build"
            ) from None
        return {
            "image": np.asarray(example[self._image]),
            "label": np.asarray(example[self._label], np.int32),
        }


class TfdsSources(NamedTuple):
    """An image-classification set in a prepared folder, opened but not read.

    Attributes:
      name: name of the set.
      train: the training examples.
      test: the test examples.
      num_classes: number of classes.
      input_shape: shape ``(H, W, C)``; ``None`` where images differ.
      image_dtype: type of the pixels.
    """

    name: str
    train: ImageSource
    test: ImageSource
    num_classes: int
    input_shape: tuple[int | None, ...]
    image_dtype: np.dtype


def one_line(error: BaseException) -> str:
    """The text of an error in at most 200 characters and one line.

    Args:
      error: any error.

    Returns:
      Its text, or its type where it has none.

    >>> one_line(ValueError("two" + chr(10) + "lines"))
    'two lines'
    """
    return " ".join(str(error).split())[:200] or type(error).__name__


def open_folder(folder: Path) -> Any:
    """The TFDS builder of a prepared version, for reading.

    Args:
      folder: the folder of the version.

    Returns:
      A ``tfds.core.DatasetBuilder``.

    Raises:
      InputError: tensorflow-datasets is not installed.
      HalfWrittenError: the description of the set cannot be read.
    """
    tfds = need("tensorflow_datasets", "a prepared TFDS folder")
    try:
        return tfds.builder_from_directory(folder)
    except Exception as error:
        raise HalfWrittenError(
            f"cannot read the description of {folder}: {one_line(error)}"
        ) from None


def open_tfds(
    name: str,
    data_dir: str | Path,
    *,
    train_split: str = "train",
    test_split: str | None = None,
) -> TfdsSources:
    """Open an image-classification set, of any size, in a prepared folder.

    Args:
      name: ``NAME``, ``NAME/CONFIG``, either with ``:VERSION``.
      data_dir: the ``--data_dir`` of ``tfds build``.
      train_split: the split to train on.
      test_split: the split to test on. Default: ``"test"`` if there is one and it has
        labels (that of ``imagenet2012`` has none), else ``"validation"``.

    Returns:
      The opened set.

    Raises:
      InputError: the set is not prepared, half-written, in another format, has no such
        split, or is no image classification. Each message says what to do.

    Example::

      sources = open_tfds("imagenet2012", "/data/tfds")
      batches = GrainBatches(sources.train, 256, seed=0, transform=resize)
    """
    folder = find_prepared(name, data_dir)
    info = open_folder(folder).info
    image, label = _keys(name, info)
    splits = [str(split) for split in info.splits]

    def source(split: str) -> ImageSource:
        if split.partition("[")[0] not in splits:
            raise InputError(
                f"{name} has no split {split!r}; accepted: {', '.join(splits)}, and "
                "parts such as 'train[:80%]'"
            )
        return ImageSource(folder, split, image, label)

    if test_split is None:
        held_out = [s for s in ("test", "validation") if s in splits]
        labelled = [s for s in held_out if _has_labels(source(s))]
        if not labelled:
            raise InputError(
                f"{name} has no labelled 'test' or 'validation' split (there: "
                f"{', '.join(splits)}); name two parts, such as "
                "train_split='train[:80%]', test_split='train[80%:]'"
            )
        test_split = labelled[0]
    feature = info.features[image]
    return TfdsSources(
        name=name,
        train=source(train_split),
        test=source(test_split),
        num_classes=info.features[label].num_classes,
        input_shape=tuple(feature.shape),
        image_dtype=np.dtype(feature.np_dtype),
    )


def _has_labels(source: ImageSource) -> bool:
    return len(source) > 0 and int(source[0]["label"]) >= 0


def _keys(name: str, info: Any) -> tuple[str, str]:
    """Names of the features with the image and the class."""
    keys = info.supervised_keys
    plain = isinstance(keys, tuple) and len(keys) == 2
    if not plain or not all(isinstance(key, str) for key in keys):
        keys = ("image", "label")
    image, label = keys
    features = info.features
    if (
        image not in features
        or label not in features
        or len(features[image].shape) != 3
        or not getattr(features[label], "num_classes", None)
    ):
        got = ", ".join(f"{key}: {type(features[key]).__name__}" for key in features)
        raise InputError(
            f"{name} is no image-classification set (features {got[:200]}); accepted: "
            "one image of rank 3 and one ClassLabel"
        )
    return image, label


class NotInMemoryError(InputError):
    """A set cannot be read into arrays; it must be streamed.

    Attributes:
      reason: the cause without the advice, for callers that give their own.
    """

    def __init__(self, reason: str, instead: str) -> None:
        super().__init__(f"{reason}; {instead}")
        self.reason = reason


def load_tfds(
    name: str,
    data_dir: str | Path,
    *,
    train_split: str = "train",
    test_split: str | None = None,
    max_bytes: int = MAX_BYTES,
) -> Dataset:
    """Read an image-classification set from a prepared folder into memory.

    Args:
      name: ``NAME``, ``NAME/CONFIG``, either with ``:VERSION``.
      data_dir: the ``--data_dir`` of ``tfds build``.
      train_split: as in ``open_tfds``.
      test_split: as in ``open_tfds``.
      max_bytes: the largest size of the pixels of both parts, in bytes; default 4 GiB.

    Returns:
      The set, checked.

    Raises:
      InputError: as ``open_tfds``.
      NotInMemoryError: the images differ in size, or do not fit into ``max_bytes``:
        then use ``GrainBatches`` over ``open_tfds``.

    Time: PNG images of 32x32 are read at about 8,000 a second, once.

    Example::

      dataset = load_tfds("cifar10", "/data/tfds")
    """
    sources = open_tfds(name, data_dir, train_split=train_split, test_split=test_split)
    streamed = f"use GrainBatches(open_tfds({name!r}, ...).train, ...)"
    sizes = [size for size in sources.input_shape if size is not None]
    if len(sizes) < len(sources.input_shape):
        raise NotInMemoryError(
            f"images of {name} differ in size ({sources.input_shape})",
            f"{streamed} with a transform that resizes",
        )
    count = len(sources.train) + len(sources.test)
    needed = count * math.prod(sizes) * sources.image_dtype.itemsize
    if needed > max_bytes:
        reason = f"{name} has {needed} bytes of pixels, max_bytes={max_bytes}"
        raise NotInMemoryError(reason, streamed)
    train, test = read_all(sources.train), read_all(sources.test)
    return image_dataset(name, train, test, sources.num_classes)


def read_all(source: ImageSource) -> dict[str, np.ndarray]:
    """All examples of a source, stacked.

    Args:
      source: the examples, images of one shape.

    Returns:
      ``{"image": (N, H, W, C), "label": (N,)}``.

    Raises:
      InputError: the source is empty.
      HalfWrittenError: a record cannot be read.
    """
    count = len(source)
    if count == 0:
        raise InputError("the data set is empty; accepted: at least one example")
    first = source[0]["image"]
    images = np.empty((count, *first.shape), first.dtype)
    labels = np.empty(count, np.int32)
    for i in range(count):
        example = source[i]
        images[i], labels[i] = example["image"], example["label"]
    return {"image": images, "label": labels}
