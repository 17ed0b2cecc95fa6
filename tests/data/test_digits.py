"""The digits: their split, their folder, and what can happen to it."""

import logging
import shutil
import subprocess
import sys
import zlib

import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.data import cache_folder, digits, load_digits
from jaxopt_lab.data.digits_split import held_out_rows

# CRC-32 of the rows chosen for the test, as little-endian int64.
SPLIT_CRC = 2952528084


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    root = tmp_path_factory.mktemp("digits")
    return root, load_digits(root)


@pytest.fixture
def copy(built, tmp_path):
    shutil.copytree(built[0] / "digits", tmp_path / "digits")
    return tmp_path


def assert_same(got, want):
    for part in ("train", "test"):
        for name, x in getattr(want, part).items():
            np.testing.assert_array_equal(getattr(got, part)[name], x)


def test_the_set_is_scikit_learns_in_two_parts(built):
    _, got = built
    from sklearn import datasets

    bunch = datasets.load_digits()
    rows = held_out_rows(bunch.target)
    rest = np.setdiff1d(np.arange(1797), rows)
    for part, where in ((got.test, rows), (got.train, rest)):
        np.testing.assert_array_equal(
            part["image"] * 16, bunch.images[where][..., None]
        )
        np.testing.assert_array_equal(part["label"], bunch.target[where])
        assert part["image"].dtype == np.float32 and part["label"].dtype == np.int32
    assert len(got.train["label"]) == 1437 and len(got.test["label"]) == 360
    assert got.input_shape == (8, 8, 1) and got.num_classes == 10
    assert got.train["image"].max() == 1 and got.train["image"].min() == 0


def test_the_split_is_stratified_and_fixed():
    from sklearn import datasets

    target = datasets.load_digits().target
    rows = held_out_rows(target)
    assert len(set(rows.tolist())) == 360 and rows.tolist() == sorted(rows)
    share = np.bincount(target[rows]) - np.bincount(target) * 360 / 1797
    assert np.abs(share).max() < 1
    # Evenly spread over the writers: every tenth of the file gives its share too.
    assert np.abs(np.histogram(rows, 10, (0, 1797))[0] - 36).max() <= 5
    assert zlib.crc32(rows.astype("<i8").tobytes()) == SPLIT_CRC


def test_it_is_a_tfds_folder_that_others_can_read(built):
    import tensorflow_datasets as tfds

    root, want = built
    builder = tfds.builder_from_directory(root / "digits" / "1.0.0")
    assert builder.info.splits["train"].num_examples == 1437
    assert builder.info.features["label"].num_classes == 10
    source = builder.as_data_source("test")
    assert source[7]["image"].dtype == np.uint8
    np.testing.assert_array_equal(source[7]["image"] / 16, want.test["image"][7])
    assert sorted(p.name for p in root.iterdir()) == ["digits"]  # nothing left over


def test_a_built_set_is_read_not_built(built, monkeypatch):
    monkeypatch.setattr(digits, "_prepare", lambda *_: pytest.fail("built again"))
    assert_same(load_digits(built[0]), built[1])


def damage(folder, how):
    if how == "cut":
        file = folder / "digits-train.array_record-00000-of-00001"
        file.write_bytes(file.read_bytes()[:70000])
    elif how == "shard":
        (folder / "digits-test.array_record-00000-of-00001").unlink()
    elif how == "info":
        (folder / "dataset_info.json").unlink()
    elif how == "garbled":
        (folder / "dataset_info.json").write_text('{"name": "dig')
    elif how == "features":
        (folder / "features.json").write_text("")
    else:
        shutil.rmtree(folder)
        folder.mkdir()


@pytest.mark.full
@pytest.mark.parametrize(
    "how", ["cut", "shard", "info", "garbled", "features", "empty"]
)
def test_a_half_written_folder_is_built_anew(built, copy, how, caplog):
    damage(copy / "digits" / "1.0.0", how)
    with caplog.at_level(logging.WARNING):
        assert_same(load_digits(copy), built[1])
    assert "rebuilt" in caplog.text
    assert_same(load_digits(copy), built[1])
    assert sorted(p.name for p in copy.rglob("*") if p.is_dir()) == ["1.0.0", "digits"]


def test_a_build_that_dies_leaves_no_set(tmp_path, monkeypatch):
    def die(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(digits, "_publish", die)
        with pytest.raises(
            InputError, match="cannot build.*the disk is full.*data_dir"
        ):
            load_digits(tmp_path)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


@pytest.mark.full
def test_a_set_that_appears_during_the_build_is_kept(built, tmp_path, monkeypatch):
    prepare = digits._prepare

    def slow(workshop):
        shutil.copytree(built[0] / "digits", tmp_path / "digits", dirs_exist_ok=True)
        (tmp_path / "digits" / "1.0.0" / "mine").write_text("")
        return prepare(workshop)

    monkeypatch.setattr(digits, "_prepare", slow)
    assert_same(load_digits(tmp_path), built[1])
    assert (tmp_path / "digits" / "1.0.0" / "mine").exists()


@pytest.mark.full
def test_two_processes_may_build_at_once(built, tmp_path):
    code = (
        "import sys, zlib; from jaxopt_lab.data import load_digits; "
        "x = load_digits(sys.argv[1]); print(zlib.crc32(x.train['image'].tobytes()))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    want = str(zlib.crc32(built[1].train["image"].tobytes()))
    for process in running:
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0 and out.decode().strip() == want
    assert sorted(p.name for p in tmp_path.iterdir()) == ["digits"]


def test_another_set_of_that_name_is_not_touched(copy):
    folder = copy / "digits" / "1.0.0"
    info = folder / "dataset_info.json"
    info.write_text(info.read_text().replace("array_record", "tfrecord"))
    before = info.read_text()
    with pytest.raises(InputError, match="tfds convert_format"):
        load_digits(copy)
    assert info.read_text() == before


def test_an_unwritable_folder_is_named(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(InputError, match="cannot write into.*JAXOPT_LAB_DATA"):
        load_digits(file)


def test_the_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("JAXOPT_LAB_DATA", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("JAXOPT_LAB_DATA")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "jaxopt_lab" / "tfds"


def test_a_missing_package_is_named_with_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(InputError, match=r"sklearn.*pip install 'jaxopt_lab\[data\]'"):
        load_digits(tmp_path)
