"""Images in folders, one folder a class."""

import numpy as np
import pytest
from PIL import Image

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.data import load_image_folder

RNG = np.random.default_rng(0)


def written(folder, name, count=3, shape=(4, 5), mode="L"):
    """Random pictures of a class; their pixels."""
    (folder / name).mkdir(parents=True)
    found = []
    for i in range(count):
        size = shape if mode == "L" else (*shape, 3)
        pixels = RNG.integers(0, 256, size, np.uint8)
        Image.fromarray(pixels).save(folder / name / f"{i}.png")
        found.append(pixels)
    return found


def test_train_and_test_by_class(tmp_path):
    cats = written(tmp_path / "train", "cat")
    written(tmp_path / "train", "dog", mode="RGB")
    dogs = written(tmp_path / "test", "dog", 1)
    written(tmp_path / "test", "cat", 1)
    dataset = load_image_folder(tmp_path)
    assert dataset.input_shape == (4, 5, 3) and dataset.num_classes == 2
    assert dataset.train["image"].dtype == np.uint8
    assert dataset.train["label"].tolist() == [0, 0, 0, 1, 1, 1]
    # A grey picture beside coloured ones has three equal channels.
    expected = np.repeat(cats[1][..., None], 3, axis=-1)
    np.testing.assert_array_equal(dataset.train["image"][1], expected)
    np.testing.assert_array_equal(dataset.test["image"][1][..., 0], dogs[0])


def test_without_a_split_a_fifth_is_the_test(tmp_path):
    written(tmp_path, "a", 5)
    written(tmp_path, "b", 5, shape=(6, 6))
    with pytest.raises(InputError, match="6x6 pixels, those before 4x5; give image"):
        load_image_folder(tmp_path)
    dataset = load_image_folder(tmp_path, size=3)
    assert dataset.input_shape == (3, 3, 1) and len(dataset.test["label"]) == 2


def test_folders_that_are_no_set_are_told_in_one_line(tmp_path):
    with pytest.raises(InputError, match="no folder"):
        load_image_folder(tmp_path / "nothing")
    written(tmp_path, "a")
    with pytest.raises(InputError, match="1 class.*at least two"):
        load_image_folder(tmp_path)
    (tmp_path / "b").mkdir()
    with pytest.raises(InputError, match="has no image; accepted: .png"):
        load_image_folder(tmp_path)
    (tmp_path / "b" / "x.png").write_text("nothing")
    with pytest.raises(InputError, match=r"x\.png is no image"):
        load_image_folder(tmp_path)
