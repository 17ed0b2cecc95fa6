"""Lists, loaders, iterators and single batches as sources of batches."""

import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.training import make_evaluator
from jaxopt_lab.training.sources import IterableBatches, as_source


class Loader:
    """As a loader of another library: iterable again, pairs in lists, own tensors."""

    def __iter__(self):
        for i in range(3):
            yield [Tensor(i), Tensor(10 + i)]


class Tensor:
    def __init__(self, value):
        self.value = value

    def __array__(self, dtype=None, copy=None):
        return np.asarray([self.value], dtype)


def first(source, count):
    return [int(np.ravel(source.next()["x"])[0]) for _ in range(count)]


def test_a_list_is_passed_again_and_again():
    batches = [{"x": np.array([i])} for i in range(3)]
    source = as_source(batches)
    assert first(source, 4) == [0, 1, 2, 0]
    assert source.get_state() == {"index": 4}
    source.set_state({"index": 2})
    assert first(source, 2) == [2, 0]
    fresh = as_source(batches)
    fresh.set_state({"index": 7})
    assert first(fresh, 1) == [1]
    assert as_source(fresh) is fresh


def test_a_loader_gives_pairs_of_arrays():
    source = as_source(Loader())
    pairs = [source.next() for _ in range(4)]
    assert all(isinstance(p, tuple) and isinstance(p[0], np.ndarray) for p in pairs)
    assert [int(y[0]) for _, y in pairs] == [10, 11, 12, 10]


def test_an_iterator_goes_on_but_not_back():
    source = as_source({"x": np.array([i])} for i in range(4))
    assert first(source, 2) == [0, 1]
    source.set_state({"index": 3})
    assert first(source, 1) == [3]
    with pytest.raises(InputError, match="is past batch 1"):
        source.set_state({"index": 1})
    with pytest.raises(InputError, match="has ended after 4; give a list"):
        source.next()
    again = as_source(lambda: iter([{"x": np.array([5])}]))
    assert first(again, 3) == [5, 5, 5]


def test_one_batch_is_repeated():
    for batch in ({"x": np.arange(3)}, {"x": 7}):
        assert first(as_source(batch), 2) == [np.ravel(batch["x"])[0]] * 2
    x, y = as_source((np.ones(2), np.zeros(2))).next()
    assert x.sum() == 2 and y.sum() == 0


@pytest.mark.parametrize("wrong", [3, None, "digits", 0.5])
def test_something_else_is_named(wrong):
    said = (
        rf"batches of type {type(wrong).__name__} cannot be read; accepted: .* loader"
    )
    for take in (as_source, lambda batches: make_evaluator(lambda *_: {}, batches)):
        with pytest.raises(InputError, match=said):
            take(wrong)
    with pytest.raises(InputError, match="the iterable is empty"):
        IterableBatches([]).next()
