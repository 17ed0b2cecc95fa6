"""Text files as windows of characters."""

import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.data import load_text, vocabulary

TEXT = "zürich\r\nbern\n" * 10  # 130 characters


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "towns.txt"
    file.write_bytes(TEXT.encode())
    return file


@pytest.mark.parametrize("stride", [None, 1, 3, 8])
def test_windows_spell_the_text(path, stride):
    got = load_text(path, 8, 0.2, stride=stride)
    characters = vocabulary(TEXT)
    assert list(characters) == sorted(set(TEXT)) and got.num_classes == len(characters)
    assert got.kind == "text" and got.input_shape == (8,) and got.name == "towns"

    def spell(row):
        return "".join(characters[i] for i in row)

    step = 2 if stride is None else stride
    train, test = TEXT[:104], TEXT[104:]
    for part, piece, by in ((got.train, train, step), (got.test, test, 8)):
        places = range(0, len(piece) - 8, by)
        assert part["inputs"].shape == part["targets"].shape == (len(places), 8)
        assert part["inputs"].dtype == part["targets"].dtype == np.int32
        for row, p in enumerate(places):
            assert spell(part["inputs"][row]) == piece[p : p + 8]
            assert spell(part["targets"][row]) == piece[p + 1 : p + 9]


def test_the_shortest_text_that_works(tmp_path):
    file = tmp_path / "short.txt"
    file.write_text("abcdef")
    got = load_text(file, 2, 0.5)
    assert got.train["inputs"].tolist() == [[0, 1]]
    assert got.test["targets"].tolist() == [[4, 5]]
    with pytest.raises(InputError, match=r"train: 3 of 6 .*at least 4 for context=3"):
        load_text(file, 3, 0.5)
    with pytest.raises(InputError, match=r"test: 1 of 6 .*at least 3 for context=2"):
        load_text(file, 2, 0.1)


@pytest.mark.parametrize(
    ("raw", "message"),
    [(b"", "is empty"), (b"ab\xff", r"not UTF-8 \(byte 2"), (None, "no such file")],
)
def test_bad_files_get_one_line(tmp_path, raw, message):
    file = tmp_path / "x.txt"
    if raw is not None:
        file.write_bytes(raw)
    with pytest.raises(InputError, match=message) as caught:
        load_text(file, 2)
    assert "\n" not in str(caught.value)


def test_bad_arguments_are_named(path):
    with pytest.raises(InputError, match="is a folder"):
        load_text(path.parent, 2)
    with pytest.raises(InputError, match="context=0"):
        load_text(path, 0)
    with pytest.raises(InputError, match=r"test_fraction=1.0.*\(0, 1\)"):
        load_text(path, 2, 1.0)
    with pytest.raises(InputError, match="stride=0"):
        load_text(path, 2, stride=0)
