"""The threshold-consistent margin against a loop over pairs, and its invariances."""

import jax
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.losses import threshold_consistent_margin

RNG = np.random.default_rng(0)
X, LABELS = RNG.normal(size=(7, 3)), np.array([0, 1, 0, 2, 1, 1, 5], np.int32)
tcm = jax.jit(threshold_consistent_margin)
graded = jax.jit(jax.value_and_grad(threshold_consistent_margin))


def by_loops(x, labels, high=0.9, low=0.5):
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    positive, negative = [], []
    for i in range(len(x)):
        for j in range(len(x)):
            s = x[i] @ x[j]
            if i != j and labels[i] == labels[j] and s <= high:
                positive.append(high - s)
            if labels[i] != labels[j] and s >= low:
                negative.append(s - low)
    return sum(np.mean(part) for part in (positive, negative) if part)


def test_it_is_the_mean_over_hard_pairs_and_knows_no_rotation_or_length():
    value = by_loops(X, LABELS)
    np.testing.assert_allclose(tcm(X, LABELS), value, rtol=1e-12)
    rotation = np.linalg.qr(RNG.normal(size=(3, 3)))[0]
    lengths = RNG.uniform(0.1, 1e3, (7, 1))
    np.testing.assert_allclose(tcm(lengths * X @ rotation, LABELS), value, rtol=1e-9)
    np.testing.assert_allclose(tcm(X, LABELS + 7), value, rtol=1e-12)


def test_no_hard_pair_no_loss_and_no_gradient():
    apart = np.eye(3)[[0, 1, 0, 2, 1, 1, 2]] + 1e-3
    labels = np.array([0, 1, 0, 2, 1, 1, 2], np.int32)
    value, slope = graded(apart, labels)
    assert float(value) == 0 and not np.any(slope)


def test_dropped_examples_zeros_one_class_and_one_example():
    where = np.array([1, 0, 1, 1, 1, 0, 1])
    filled = np.where(where[:, None] == 0, np.nan, X)
    value, slope = graded(filled, LABELS, where=where)
    kept = where != 0
    np.testing.assert_allclose(value, by_loops(X[kept], LABELS[kept]), rtol=1e-12)
    assert not np.any(slope[~kept]) and np.all(np.isfinite(slope))
    for x, labels in (
        (np.zeros((3, 2)), np.zeros(3, np.int32)),
        (X[:3], np.zeros(3, np.int32)),
        (X[:3], np.arange(3, dtype=np.int32)),
        (np.repeat(X[:1], 3, axis=0), np.arange(3, dtype=np.int32)),
        (X[:1], LABELS[:1]),
    ):
        assert all(np.all(np.isfinite(a)) for a in graded(x, labels))


@pytest.mark.parametrize(
    "change, words",
    [
        ({"labels": LABELS[:3]}, r"labels must have shape \(7,\); got \(3,\)"),
        ({"labels": LABELS / 2}, "labels must be integers; got dtype float64"),
        ({"embeddings": X[0]}, "embeddings must be real floating numbers with 2 axes"),
        ({"positive_margin": 1.5}, r"positive_margin must lie in \[-1, 1\]; got 1.5"),
        ({"where": np.ones(2)}, r"where must have shape \(7,\); got \(2,\)"),
    ],
)
def test_what_it_refuses(change, words):
    with pytest.raises(InputError, match=words):
        threshold_consistent_margin(**{"embeddings": X, "labels": LABELS, **change})
