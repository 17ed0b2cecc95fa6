"""Prepared TFDS folders, made here with small builders."""

import io
import json
import logging
import pickle
import shutil

import numpy as np
import pytest
import tensorflow_datasets as tfds

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.data import load_tfds, open_tfds
from jaxopt_lab.data.tfds_sets import ImageSource, read_all

tfds.disable_progress_bar()
logging.getLogger("absl").setLevel(logging.ERROR)


def pixels(row, size=6):
    return np.random.default_rng(row).integers(0, 256, (size, size, 3), np.uint8)


class Toy(tfds.core.GeneratorBasedBuilder):
    """PNG images in configurations that differ in splits, labels and sizes."""

    VERSION = tfds.core.Version("1.2.0")
    SIZES = {"train": 8, "validation": 4, "test": 4}  # noqa: RUF012
    LABEL = tfds.features.ClassLabel(num_classes=3)
    SHAPE = (6, 6, 3)

    def _info(self):
        features = {
            "id": tfds.features.Text(),
            "picture": tfds.features.Image(shape=self.SHAPE),
            "kind": self.LABEL,
        }
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("picture", "kind"),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager):
        return {split: self._rows(split) for split in self.SIZES}

    def _rows(self, split):
        from PIL import Image

        for row in range(self.SIZES[split]):
            file = io.BytesIO()
            size = 6 if self.SHAPE[0] else 5 + row
            Image.fromarray(pixels(row, size)).save(file, "PNG")
            file.seek(0)
            label = self.label(split, row)
            yield row, {"id": str(row), "picture": file, "kind": label}

    def label(self, split, row):
        return row % 3

    def _generate_examples(self):
        raise AssertionError


class ToyHidden(Toy):
    """As imagenet2012: the labels of the test are not given away."""

    def label(self, split, row):
        return -1 if split == "test" else row % 3


class ToyTrainOnly(Toy):
    """One split."""

    SIZES = {"train": 10}  # noqa: RUF012


class ToySizes(Toy):
    """Images of different sizes."""

    SHAPE = (None, None, 3)


class ToyRegression(Toy):
    """No classes."""

    LABEL = tfds.features.Scalar(np.int64)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    for builder in (Toy, ToyHidden, ToyTrainOnly, ToySizes, ToyRegression):
        builder(data_dir=folder, file_format="array_record").download_and_prepare()
    return folder


@pytest.fixture
def copy(root, tmp_path):
    shutil.copytree(root / "toy", tmp_path / "toy")
    return tmp_path


def test_a_prepared_set_is_read_into_arrays(root):
    got = load_tfds("toy", root)
    assert got.name == "toy" and got.kind == "image" and got.num_classes == 3
    assert got.input_shape == (6, 6, 3)
    for part, n in ((got.train, 8), (got.test, 4)):
        want = np.stack([pixels(row) for row in range(n)])
        np.testing.assert_array_equal(part["image"], want)
        np.testing.assert_array_equal(part["label"], np.arange(n) % 3)
        assert part["image"].dtype == np.uint8 and part["label"].dtype == np.int32


def test_versions_and_configurations_are_found(root, tmp_path):
    assert load_tfds("toy:1.2.0", root).name == "toy:1.2.0"
    for version in ("1.2.0", "1.10.0"):
        shutil.copytree(root / "toy/1.2.0", tmp_path / "toy" / "large" / version)
    newest = open_tfds("toy", tmp_path).train
    assert newest._folder == tmp_path / "toy/large/1.10.0"
    assert open_tfds("toy/large:1.2.0", tmp_path).train._folder.name == "1.2.0"
    shutil.copytree(root / "toy/1.2.0", tmp_path / "toy" / "small" / "1.2.0")
    with pytest.raises(InputError, match="several.*accepted: toy/large, toy/small"):
        load_tfds("toy", tmp_path)
    with pytest.raises(InputError, match="no version 9.9.9.*there: 1.2.0"):
        load_tfds("toy:9.9.9", root)


def test_the_test_is_a_split_with_labels(root):
    assert open_tfds("toy", root).test._split == "test"
    assert open_tfds("toy_hidden", root).test._split == "validation"
    with pytest.raises(InputError, match="no labelled.*there: train.*test_split="):
        open_tfds("toy_train_only", root)
    parts = {"train_split": "train[:80%]", "test_split": "train[80%:]"}
    got = load_tfds("toy_train_only", root, **parts)
    assert len(got.train["label"]) == 8
    np.testing.assert_array_equal(got.test["image"][1], pixels(9))
    with pytest.raises(InputError, match="no split 'dev'.*train, validation, test"):
        open_tfds("toy", root, test_split="dev")
    with pytest.raises(InputError, match="cannot read the split"):
        load_tfds("toy", root, test_split="train[oops")


def test_sets_too_large_or_uneven_are_sent_to_grain(root):
    with pytest.raises(InputError, match="1296 bytes.*max_bytes=1295.*GrainBatches"):
        load_tfds("toy", root, max_bytes=1295)
    assert load_tfds("toy", root, max_bytes=1296)
    with pytest.raises(InputError, match="differ in size.*GrainBatches.*resizes"):
        load_tfds("toy_sizes", root)
    assert open_tfds("toy_sizes", root).train[3]["image"].shape == (8, 8, 3)


def test_other_features_are_refused(root):
    with pytest.raises(InputError, match="no image-classification set.*kind: Scalar"):
        load_tfds("toy_regression", root)


def test_a_source_pickles(root):
    source = open_tfds("toy", root).train
    source[0]
    again = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(again[5]["image"], source[5]["image"])


COMMAND = r"tfds build toy --data_dir=\S+ --file_format=array_record"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda d: shutil.rmtree(d), "no folder"),
        (lambda d: shutil.rmtree(d / "toy"), r"not prepared.*there: nothing\)"),
        (
            lambda d: (d / "toy/1.2.0").rename(d / "toy/incomplete.AB_1.2.0"),
            r"half-written \(a build was interrupted\)",
        ),
        (lambda d: (d / "toy/1.2.0/features.json").unlink(), "no features.json"),
        (lambda d: (d / "toy/1.2.0/dataset_info.json").unlink(), "no dataset_info"),
        (lambda d: (d / "toy/1.2.0/dataset_info.json").write_text("{"), "garbled"),
        (
            lambda d: (d / "toy/1.2.0/toy-test.array_record-00000-of-00001").unlink(),
            "1 of 3 files missing: toy-test",
        ),
    ],
)
def test_missing_and_half_written_folders_get_the_command(copy, make, message):
    make(copy)
    with pytest.raises(InputError, match=f"{message}.*{COMMAND}") as caught:
        load_tfds("toy", copy)
    assert "\n" not in str(caught.value)


def test_a_set_that_is_not_there_names_those_that_are(root):
    with pytest.raises(InputError, match="cifar10 is not prepared.*there: toy, toy_"):
        load_tfds("cifar10", root)
    with pytest.raises(InputError, match="no name of a TFDS set"):
        load_tfds("../toy", root)


def test_tfrecord_folders_get_the_command_that_converts(copy):
    info = copy / "toy/1.2.0/dataset_info.json"
    about = json.loads(info.read_text())
    info.write_text(json.dumps({**about, "fileFormat": "tfrecord"}))
    command = (
        f"tfds convert_format --dataset_version_dir={copy}/toy/1.2.0 "
        "--out_file_format=array_record"
    )
    with pytest.raises(InputError, match=f"tfrecord files.*TensorFlow.*{command}"):
        load_tfds("toy", copy)


def test_a_converted_folder_is_read(copy):
    # What the command leaves: files of both formats, the new one as alternative.
    info = copy / "toy/1.2.0/dataset_info.json"
    about = json.loads(info.read_text())
    both = {"fileFormat": "tfrecord", "alternativeFileFormats": ["array_record"]}
    info.write_text(json.dumps({**about, **both}))
    np.testing.assert_array_equal(load_tfds("toy", copy).train["image"][2], pixels(2))


def test_a_cut_off_file_gets_one_line(copy):
    file = copy / "toy/1.2.0/toy-train.array_record-00000-of-00001"
    file.write_bytes(file.read_bytes()[:70000])
    with pytest.raises(InputError, match=r"cannot read.*'train'.*tfds build") as caught:
        load_tfds("toy", copy)
    assert "\n" not in str(caught.value)


def test_real_features_of_cifar10_with_mock_content(root):
    with tfds.testing.mock_data(num_examples=5):
        records = tfds.data_source("cifar10", split="train")
        source = ImageSource(root, "train", "image", "label")
        source._source = records
        got = read_all(source)
    assert got["image"].shape == (5, 32, 32, 3) and got["image"].dtype == np.uint8
    assert got["label"].shape == (5,) and set(got["label"]) <= set(range(10))
