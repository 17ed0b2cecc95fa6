"""IDX files, made here byte by byte."""

import gzip
import struct

import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.data import load_fashion_mnist, read_idx


def pack(raw):
    # A fixed time: workers of pytest-xdist compare the names of their tests.
    return gzip.compress(raw, mtime=0)


def idx(array):
    array = np.asarray(array, np.uint8)
    head = struct.pack(">BBBB", 0, 0, 8, array.ndim)
    return head + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def folder(tmp_path):
    """Six training and three test images; those of the test plain, not packed."""
    rng = np.random.default_rng(0)
    for stem, n in (("train", 6), ("t10k", 3)):
        images = rng.integers(0, 256, (n, 4, 5))
        files = {
            f"{stem}-images-idx3-ubyte": idx(images),
            f"{stem}-labels-idx1-ubyte": idx(np.arange(n)),
        }
        for name, raw in files.items():
            if stem == "train":
                (tmp_path / f"{name}.gz").write_bytes(pack(raw))
            else:
                (tmp_path / name).write_bytes(raw)
    return tmp_path


def test_packed_and_plain_files_are_read(folder):
    got = load_fashion_mnist(folder)
    rng = np.random.default_rng(0)
    for part, n in ((got.train, 6), (got.test, 3)):
        np.testing.assert_array_equal(
            part["image"], rng.integers(0, 256, (n, 4, 5))[..., None]
        )
        np.testing.assert_array_equal(part["label"], np.arange(n))
        assert part["image"].dtype == np.uint8 and part["label"].dtype == np.int32
    assert got.input_shape == (4, 5, 1) and got.num_classes == 10


IMAGES = "train-images-idx3-ubyte.gz"
LABELS = "train-labels-idx1-ubyte.gz"
WHOLE = idx(np.zeros((6, 4, 5)))


@pytest.mark.parametrize(
    ("name", "raw", "message"),
    [
        (IMAGES, pack(WHOLE)[:-12], "damaged or cut off"),
        (IMAGES, b"no gzip at all", "damaged or cut off: Not a gzipped file"),
        (IMAGES, b"", "begins with nothing"),
        (IMAGES, pack(WHOLE[:-1]), r"135 bytes.*\(6, 4, 5\) says 136"),
        (IMAGES, pack(WHOLE + b"\0"), "137 bytes.*says 136"),
        (IMAGES, pack(WHOLE[:9]), r"cut off within its header \(9 bytes\)"),
        (IMAGES, pack(idx(np.zeros(6))), "begins with 00000801.*00000803"),
        (IMAGES, pack(b"\0\0\x0d\3" + WHOLE[4:]), "begins with 00000d03"),
        (LABELS, pack(idx(np.zeros(5))), r"6 images, but labels.*\(5,\)"),
        (LABELS, pack(idx([0, 1, 2, 10, 0, 0])), "label 10 of example 3"),
    ],
)
def test_bad_files_get_one_line(folder, name, raw, message):
    (folder / name).write_bytes(raw)
    with pytest.raises(InputError, match=message) as caught:
        load_fashion_mnist(folder)
    assert "\n" not in str(caught.value)


def test_flipped_bytes_in_a_packed_file_are_noticed(folder):
    raw = bytearray((folder / IMAGES).read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    (folder / IMAGES).write_bytes(bytes(raw))
    with pytest.raises(InputError, match="damaged"):
        load_fashion_mnist(folder)


def test_missing_files_are_named(folder):
    (folder / IMAGES).unlink()
    with pytest.raises(InputError, match=r"no train-images-idx3-ubyte or .*\.gz.*t10k"):
        load_fashion_mnist(folder)
    with pytest.raises(InputError, match="no folder .*nowhere"):
        load_fashion_mnist(folder / "nowhere")
    with pytest.raises(InputError, match="cannot read .*no such file"):
        read_idx(folder / "gone", 1)
