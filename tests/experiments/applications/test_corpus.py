"""Texts of the applications: the standard library, files, tokens."""

import numpy as np
import pytest

from experiments.applications import corpus
from jaxopt_lab.core.errors import InputError


def test_the_standard_library_is_there_in_the_order_of_its_names():
    found = corpus.sources(count=40, least=5000)
    assert list(found) == sorted(found) and len(found) == 40
    assert min(map(len, found.values())) >= 5000
    assert "def " in found["argparse"]


def test_a_file_is_cut_into_equal_parts_and_errors_are_one_line(tmp_path):
    path = tmp_path / "own.txt"
    path.write_text("abcdefgh" * 10)
    parts = corpus.sources(str(path), count=4, least=20)
    assert "".join(parts.values()) == path.read_text()
    with pytest.raises(InputError, match="has 80 characters; accepted: 84 or more"):
        corpus.sources(str(path), count=4, least=21)
    with pytest.raises(InputError, match="cannot read"):
        corpus.sources(str(tmp_path / "none.txt"), count=4, least=1)
    with pytest.raises(InputError, match=r"accepted: 10000, or text=FILE"):
        corpus.sources(count=10_000, least=1)


def test_tokens_are_places_in_the_vocabulary_and_come_back():
    text = "def f(x):\n    return x ** 2  # é\t\r"
    tokens = corpus.encoded(text)
    assert tokens.dtype == np.int32 and tokens.max() == len(corpus.VOCABULARY) - 1
    assert corpus.decoded(tokens) == "def f(x):\n    return x ** 2  # \x7f \x7f"
