"""Checks of image sets, and what importing the package costs."""

import subprocess
import sys

import numpy as np
import pytest

from jaxopt_lab import data
from jaxopt_lab.core.errors import InputError


def part(n=5, shape=(4, 4, 1), dtype=np.uint8, labels=None):
    labels = np.arange(n) % 3 if labels is None else np.asarray(labels)
    return {"image": np.zeros((n, *shape), dtype), "label": labels}


def with_pixel(value, at=3):
    bad = part(dtype=np.float32)
    bad["image"][at, 1, 2, 0] = value
    return bad


def test_a_good_set_passes_and_has_int32_labels():
    made = data.image_dataset("toy", part(), part(2), 3)
    assert made.input_shape == (4, 4, 1) and made.num_classes == 3
    assert made.train["label"].dtype == made.test["label"].dtype == np.int32
    assert made.train["image"].dtype == np.uint8


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (part(labels=[0, 1, 3, 2, 4]), "label 3 of example 2 .*2 such.*0 to 2"),
        (part(labels=[0, 1, 2, -1, 0]), "label -1 of example 3 .*0 to 2"),
        (part(labels=[0.0] * 5), "dtype float64; accepted: integers"),
        (with_pixel(np.nan), "image 3 has a pixel nan"),
        (with_pixel(-np.inf, 4), "image 4 has a pixel -inf"),
        (part(0), "empty"),
        (part(shape=(4, 4)), r"\(5, 4, 4\); accepted: \(N, height, width, channels\)"),
        (part(shape=(4, 0, 1)), r"\(5, 4, 0, 1\)"),
        (part(labels=[0, 1]), r"5 images, but labels of shape \(2,\)"),
        (part(labels=[[0]] * 5), r"labels of shape \(5, 1\)"),
        (part(dtype=np.int16), "dtype int16; accepted: uint8 or floats"),
        ({"image": np.zeros((1, 2, 2, 1))}, "no 'label'; it has image"),
    ],
)
def test_bad_images_get_one_line_naming_the_part(split, bad, message):
    parts = {"train": part(), "test": part(), split: bad}
    with pytest.raises(InputError, match=f"toy, {split}: .*{message}") as caught:
        data.check_images("toy", **parts, num_classes=3)
    assert "\n" not in str(caught.value)


def test_both_parts_must_be_alike():
    with pytest.raises(InputError, match=r"test.*\(4, 4, 3\).*accepted: \(4, 4, 1\)"):
        data.check_images("toy", part(), part(shape=(4, 4, 3)), 3)
    with pytest.raises(InputError, match="num_classes=0"):
        data.check_images("toy", part(), part(), 0)


def test_a_nan_beyond_the_first_block_is_found(monkeypatch):
    from jaxopt_lab.data import dataset

    monkeypatch.setattr(dataset, "_BLOCK", 2 * 16 * 4)  # two images at a time
    with pytest.raises(InputError, match="image 4 has"):
        data.check_images("toy", with_pixel(np.nan, 4), part(), 3)


def test_importing_loads_nothing_heavy():
    heavy = (
        "tensorflow tensorflow_datasets grain sklearn PIL matplotlib flax orbax rich "
        "tqdm array_record"
    )
    code = (
        "import sys, jax; before = set(sys.modules); import jaxopt_lab.data; "
        f"new = set(sys.modules) - before; print(sorted(new & set({heavy.split()!r})))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"


def test_public_names_are_sorted_and_documented():
    constants_first = lambda n: (not n.isupper(), n.islower(), n)
    assert data.__all__ == sorted(data.__all__, key=constants_first)
    for name in data.__all__:
        if name not in ("CORRUPTIONS", "Augment"):
            assert getattr(data, name).__doc__, name
