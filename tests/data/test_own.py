"""Data of one's own: what is accepted, kept as it is, refused in one line."""

import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.data import Dataset, as_dataset, load_npz

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(10, 3)), np.arange(10) % 3
U, V = RNG.normal(size=(4, 3)), np.arange(4) % 3


def batches(x, y, size=3):
    """As a loader gives them, the last one short."""
    return [(x[i : i + size], y[i : i + size]) for i in range(0, len(x), size)]


def both(dataset):
    return dataset.train["image"], dataset.train["label"], dataset.test["image"]


@pytest.mark.parametrize(
    "data",
    [
        ((X, Y), (U, V)),
        {"train": (X, Y), "test": (U, V)},
        {"train": {"image": X, "label": Y}, "test": {"x": U, "y": V}},
        {"x_train": X, "y_train": Y, "x_test": U, "y_test": V},
        (batches(X, Y), batches(U, V)),
        (iter(batches(X, Y)), ({"x": x, "y": y} for x, y in batches(U, V))),
    ],
    ids=["pairs", "train and test", "dicts", "flat", "loaders", "generators"],
)
def test_values_stay_as_they_are(data):
    dataset = as_dataset(data)
    for got, given in zip(both(dataset), (X, Y, U), strict=True):
        np.testing.assert_array_equal(got, given)
    assert dataset.train["image"].dtype == X.dtype
    assert (dataset.num_classes, dataset.input_shape) == (3, (3,))
    assert as_dataset(dataset) is dataset


def test_a_pair_alone_is_split_once_and_for_all():
    one, two = as_dataset((X, Y)), as_dataset((X, Y))
    np.testing.assert_array_equal(one.test["image"], two.test["image"])
    rows = np.concatenate([one.train["image"], one.test["image"]])
    assert len(one.test["image"]) == 2
    np.testing.assert_array_equal(np.sort(rows, 0), np.sort(X, 0))


def test_whole_numbers_of_one_shape_are_text():
    tokens = np.arange(24).reshape(4, 6) % 7
    dataset = as_dataset(((tokens, tokens), (tokens, tokens)))
    assert (dataset.kind, dataset.num_classes, dataset.input_shape) == ("text", 7, (6,))


BAD_LABELS = Y.copy()
BAD_LABELS[2] = -1


@pytest.mark.parametrize(
    "data, words",
    [
        (((X, Y[:4]), (U, V)), r"10 inputs, but labels of shape \(4,\)"),
        ((X, Y[:4]), "as many labels as inputs"),
        (((X, BAD_LABELS), (U, V)), "label -1 of example 2 is out of range"),
        (((X, Y / 2), (U, V)), "accepted: integers, one class number"),
        (((X, Y), (U, V + 9)), r"test: label \d+ is of no training example, whose lab"),
        (((X, Y), (U[:, :2], V)), r"inputs? of shape \(2,\)|images of shape \(2,\)"),
        (X, "got an array of shape.*accepted: a Dataset"),
        ({"x": X}, "no label or targets or y; it has x"),
        (([], []), "the loader gives no batch"),
        ((X[:1], Y[:1]), "accepted: at least 2"),
        (3, "accepted: a Dataset"),
    ],
)
def test_what_is_no_set_is_told_in_one_line(data, words):
    with pytest.raises(InputError, match=words) as caught:
        as_dataset(data)
    assert "\n" not in str(caught.value)


def test_npz(tmp_path):
    path = tmp_path / "mine.npz"
    np.savez(path, x_train=X, y_train=Y, x_test=U, y_test=V)
    dataset = load_npz(path)
    assert isinstance(dataset, Dataset) and dataset.name == "mine.npz"
    np.testing.assert_array_equal(dataset.train["image"], X)
    np.savez(path, x=X, y=Y)
    assert len(load_npz(path).test["label"]) == 2
    np.savez(path, a=X)
    with pytest.raises(InputError, match="has the arrays a; accepted: x_train"):
        load_npz(path)
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"cannot read .*mine\.npz"):
        load_npz(path)
    with pytest.raises(InputError, match="no such file"):
        load_npz(tmp_path / "other.npz")
