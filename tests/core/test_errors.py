"""Errors about names: which of the others are told. Values in a few words."""

import collections

import numpy as np
import pytest

from jaxopt_lab.core.errors import described, unknown

Pair = collections.namedtuple("Pair", "left right")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.zeros((2, 3), np.float32), "an array of shape (2, 3), float32"),
        ((1, 2), "a tuple of 2"),
        ([1, 2, 3], "a list of 3"),
        ({"a": 1}, "a dict of 1"),
        (Pair(1, 2), "a Pair"),
        (len, "the builtin_function_or_method len"),
        (object(), "a object"),
        (None, "None"),
        ("no\nbreak", r"'no\nbreak'"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a_value_in_a_few_words(value, words):
    assert described(value) == words


@pytest.mark.parametrize("count, whole", [(60, True), (61, False)])
def test_of_more_than_sixty_names_the_near_ones_alone_are_told(count, whole):
    names = ["nearby", *(f"{i:04}" for i in range(count - 1))]
    text = str(unknown("method", "nearbi", names))
    assert text.startswith("unknown method 'nearbi'; perhaps you meant 'nearby'? (")
    assert ("accepted: 0000, 0001," in text) == whole
    assert (f"({count - 1} other names are accepted)" in text) != whole
    # Where none is near, all of them.
    text = str(unknown("method", "zzz", names))
    assert text.startswith("unknown method 'zzz'; accepted: 0000, ")
    assert text.endswith(", nearby")
