"""Graphs of digits: neighbours and known labels."""

import numpy as np

from experiments.studies import digit_graphs


def test_neighbours_are_the_nearest_others():
    x, y = np.random.default_rng(0).normal(size=(12, 3)), np.zeros(12, int)
    found = digit_graphs.drawn(0, x, y, nodes=12, near=4, known=1)
    apart = np.linalg.norm(found.x[:, None] - found.x, axis=-1) + 99 * np.eye(12)
    np.testing.assert_array_equal(found.near, np.argsort(apart, axis=1)[:, :4])


def test_so_many_labels_of_each_class_are_known():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(90, 4)), np.arange(90) % 10
    found = digit_graphs.drawn(3, x, y, nodes=80, near=2, known=4)
    assert np.bincount(found.y, weights=found.known).tolist() == [4.0] * 10
    assert len(np.unique(found.x, axis=0)) == 80 and found.near.shape == (80, 2)
