"""Shares that hold at every moment, epochs of the sources, resuming."""

import json

import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.data import MixtureBatches, MixtureSampler


@pytest.mark.parametrize(
    "shares",
    [
        [0.5, 0.5],
        [0.7, 0.2, 0.1],
        [3, 1, 0, 2],
        [0.91, *[0.01] * 9],
        [1.0],
        [1 / 3] * 3,
    ],
)
def test_counts_are_within_one_of_the_shares_at_every_moment(shares):
    sampler = MixtureSampler([7] * len(shares), shares, 1)
    source = np.array([sampler.next().source[0] for _ in range(400)])
    counts = np.cumsum(source[:, None] == np.arange(len(shares)), axis=0)
    wanted = np.arange(1, 401)[:, None] * (np.array(shares) / np.sum(shares))
    bound = 1 - 1 / max(2 * len(shares) - 2, 2)
    assert np.abs(counts - wanted).max() <= bound + 1e-9


def test_each_epoch_of_a_source_has_every_row_once_in_an_order_of_its_own():
    sampler = MixtureSampler([5, 3], [0.5, 0.5], 30, seed=1)
    source, row = sampler.next()
    for s, size in enumerate((5, 3)):
        epochs = row[source == s].reshape(-1, size)
        assert np.all(np.sort(epochs, axis=1) == np.arange(size))
    assert len(np.unique(row[source == 0].reshape(3, 5), axis=0)) > 1
    other = MixtureSampler([5, 3], [0.5, 0.5], 30, seed=2).next()
    assert np.array_equal(other.source, source)
    assert not np.array_equal(other.row, row)


def test_it_goes_on_from_its_state_as_json():
    one, two = {"x": np.arange(7), "y": np.zeros((7, 2))}, {"x": -np.arange(1, 4)}
    two["y"] = np.ones((3, 2))
    make = lambda: MixtureBatches([one, two], [0.8, 0.2], 6, seed=3, entry="source")
    whole, part = make(), make()
    batches = [whole.next() for _ in range(9)]
    for _ in range(4):
        part.next()
    state = json.loads(json.dumps(part.get_state()))
    fresh = make()
    fresh.set_state(state)
    for wanted in batches[4:]:
        found = fresh.next()
        assert all(np.array_equal(found[name], wanted[name]) for name in wanted)
    assert np.array_equal(batches[0]["source"] == 1, batches[0]["x"] < 0)
    assert np.array_equal(batches[0]["y"][:, 0], batches[0]["source"])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: MixtureSampler([1, 2], [1.0], 4), "2 sources and 1 shares; accepted"),
        (lambda: MixtureSampler([1], [0.0], 4), "one above it"),
        (lambda: MixtureSampler([1, 2], [2, -1], 4), "numbers of at least 0"),
        (lambda: MixtureSampler([1, 0], [1, 1], 4), "source 1 has no rows"),
        (lambda: MixtureSampler([1], [1], 0), "batch_size must be"),
        (lambda: MixtureSampler([1], [1], 2).set_state({"index": 3}), "whole numbers"),
        (
            lambda: MixtureSampler([1, 1], [1, 1], 2).set_state({"counts": [5, 1]}),
            "not those of these shares",
        ),
        (
            lambda: MixtureBatches([{"x": np.ones(3)}, {"y": np.ones(3)}], [1, 1], 2),
            "equal names and shapes",
        ),
    ],
)
def test_what_is_refused(call, words):
    with pytest.raises(InputError, match=words):
        call()
