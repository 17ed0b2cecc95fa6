"""Data of one's own as a checked set: arrays, pairs, loaders, an ``.npz`` file."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxopt_lab.core.errors import InputError, described
from jaxopt_lab.core.files import reason
from jaxopt_lab.core.foreign_arrays import as_numpy
from jaxopt_lab.data.dataset import Dataset, image_dataset

HELD_OUT = 0.2
"""Share of the examples that is the test set where none is given."""
_INPUTS = ("image", "inputs", "x")
_LABELS = ("label", "targets", "y")
_FLAT = ("x_train", "y_train", "x_test", "y_test")
_ACCEPTED = (
    "a Dataset; (x, y); ((x, y), (x, y)) for training and test; a dict with train and "
    "test, or with x_train, y_train, x_test, y_test; a loader of batches instead of "
    "each (x, y)"
)


def as_dataset(data: Any, name: str = "data") -> Dataset:
    """A checked ``Dataset`` from what people have.

    Inputs of any shape with integer labels are kind ``"image"``; integer inputs and
    targets of one shape ``(N, T)`` are ``"text"``. Values stay as they are: nothing is
    scaled, renamed or reordered. The number of classes is the largest label plus 1.

    Args:
      data: a ``Dataset``; ``(x, y)``; ``((x, y), (x, y))`` to train on and to test on;
        a dict with ``train`` and ``test``, or with ``x_train``, ``y_train``, ``x_test``
        and ``y_test``. Instead of a pair of arrays, any iterable of batches
        ``(x, y)``, such as a ``DataLoader`` of torch: it is read once, whole.
      name: of the set, for messages.

    Returns:
      The set. Where no test part is given, a fifth of the examples, drawn at random and
      always the same, is held out as one.

    Raises:
      InputError: it is none of these, lengths differ, labels are no class numbers, or
        a test that is given has a larger label than the training.

    Memory: the arrays, once more where they come in batches.

    >>> x, y = np.zeros((10, 3), np.float32), np.arange(10) % 2
    >>> dataset = as_dataset((x, y))
    >>> dataset.input_shape, len(dataset.train["label"]), len(dataset.test["label"])
    ((3,), 8, 2)
    """
    if isinstance(data, Dataset):
        return data
    train, given = _parts(data, name)
    train, test = _held_out(train, name) if given is None else (train, given)
    if _is_text(train):
        return _text(name, train, test)
    parts = [{"image": x, "label": y} for x, y in (train, test)]
    for part, where in zip(parts, ("train", "test"), strict=True):
        _check_classes(part["label"], f"{name}, {where}")
    largest = [int(np.max(part["label"], initial=0)) for part in parts]
    if given is not None and largest[1] > largest[0]:
        raise InputError(
            f"{name}, test: label {largest[1]} is of no training example, whose labels "
            f"are 0 to {largest[0]}; accepted: a test of the classes of the training"
        )
    classes = 1 + max(largest)
    return image_dataset(name, parts[0], parts[1], max(classes, 2), rank=None)


def load_npz(path: str | Path) -> Dataset:
    """A set from a file that ``numpy.savez`` has written.

    Args:
      path: a file with the arrays ``x_train``, ``y_train``, ``x_test`` and ``y_test``,
        or with ``x`` and ``y`` alone; see ``as_dataset``.

    Returns:
      The set, its values as they are in the file.

    Raises:
      InputError: there is no such file, it cannot be read, it has other arrays, or they
        do not fit.

    Example::

      np.savez("mine.npz", x_train=x, y_train=y, x_test=u, y_test=v)
      dataset = load_npz("mine.npz")
    """
    path = Path(path).expanduser()
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        why = reason(error) if isinstance(error, OSError) else str(error)
        raise InputError(f"cannot read {path}: {why}; accepted: an .npz file") from None
    except AttributeError:  # a single array has no names
        raise InputError(f"{path} holds one array without a name; {_NAMES}") from None
    if set(_FLAT) <= set(arrays):
        return as_dataset(arrays, path.name)
    if {"x", "y"} <= set(arrays):
        return as_dataset((arrays["x"], arrays["y"]), path.name)
    raise InputError(f"{path} has the arrays {', '.join(arrays)}; {_NAMES}")


_NAMES = f"accepted: {', '.join(_FLAT)}; or x and y"

Pair = tuple[np.ndarray, np.ndarray]


def _parts(data: Any, name: str) -> tuple[Pair, Pair | None]:
    if isinstance(data, Mapping):
        if set(_FLAT) <= set(data):
            x, y, u, v = (as_numpy(data[key], f"{name}, {key}") for key in _FLAT)
            return (x, y), (u, v)
        if "train" in data:
            test = data.get("test")
            kept = None if test is None else _pair(test, f"{name}, test")
            return _pair(data["train"], f"{name}, train"), kept
        return _pair(data, name), None
    if isinstance(data, tuple | list) and len(data) == 2:
        if not any(map(_is_array, data)):
            train, test = data
            return _pair(train, f"{name}, train"), _pair(test, f"{name}, test")
        return _pair(data, name), None
    return _pair(data, name), None


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _pair(part: Any, where: str) -> Pair:
    """Inputs and labels of a part: a pair, a dict, or batches of either."""
    if isinstance(part, Mapping):
        return _entry(part, _INPUTS, where), _entry(part, _LABELS, where)
    if isinstance(part, tuple | list) and len(part) == 2 and _is_array(part[0]):
        return as_numpy(part[0], where), as_numpy(part[1], where)
    if isinstance(part, Iterable) and not isinstance(part, str) and not _is_array(part):
        pairs = []
        for batch in part:
            if not isinstance(batch, Mapping | tuple | list):
                raise _unfit(part, where)
            pairs.append(_pair(batch, f"{where}, a batch"))
        if pairs:
            xs, ys = zip(*pairs, strict=True)
            return np.concatenate(xs), np.concatenate(ys)
        raise InputError(f"{where}: the loader gives no batch")
    raise _unfit(part, where)


def _unfit(part: Any, where: str) -> InputError:
    return InputError(f"{where}: got {described(part)}; accepted: {_ACCEPTED}")


def _entry(part: Mapping[str, Any], names: tuple[str, ...], where: str) -> np.ndarray:
    for name in names:
        if name in part:
            return as_numpy(part[name], where)
    raise InputError(
        f"{where}: no {' or '.join(names)}; it has {', '.join(map(str, part))}"
    )


def _check_lengths(part: Pair, where: str) -> None:
    x, y = part
    if not x.ndim or not y.ndim or len(x) != len(y):
        raise InputError(
            f"{where}: inputs of shape {x.shape}, but labels of shape {y.shape}; "
            "accepted: as many labels as inputs"
        )


def _held_out(part: Pair, name: str) -> tuple[Pair, Pair]:
    _check_lengths(part, name)
    count = len(part[0])
    kept = max(1, round(HELD_OUT * count))
    if count < 2:
        raise InputError(f"{name}: {count} example(s); accepted: at least 2")
    order = np.random.default_rng(0).permutation(count)
    train, test = np.sort(order[kept:]), np.sort(order[:kept])
    x, y = part
    return (x[train], y[train]), (x[test], y[test])


def _check_classes(labels: np.ndarray, where: str) -> None:
    if labels.ndim == 1 and np.issubdtype(labels.dtype, np.integer):
        return
    raise InputError(
        f"{where}: labels of shape {labels.shape}, {labels.dtype}; accepted: integers, "
        "one class number an example (N,)"
    )


def _is_text(part: Pair) -> bool:
    x, y = part
    whole = all(np.issubdtype(a.dtype, np.integer) for a in part)
    return whole and x.ndim == 2 and y.ndim == 2


def _text(name: str, train: Pair, test: Pair) -> Dataset:
    for part, where in ((train, "train"), (test, "test")):
        x, y = part
        if x.shape != y.shape or x.shape[1:] != train[0].shape[1:] or not len(x):
            raise InputError(
                f"{name}, {where}: inputs {x.shape} and targets {y.shape}; accepted: "
                "one shape (N, T), T the same in both parts"
            )
        if min(int(x.min()), int(y.min())) < 0:
            raise InputError(f"{name}, {where}: a token is negative; accepted: 0, 1...")
    tokens = 1 + max(int(a.max()) for part in (train, test) for a in part)
    parts = [
        {"inputs": x.astype(np.int32), "targets": y.astype(np.int32)}
        for x, y in (train, test)
    ]
    shape = (int(train[0].shape[1]),)
    return Dataset(name, "text", parts[0], parts[1], tokens, shape)
