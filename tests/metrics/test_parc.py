"""Scores of transferability against loops, SciPy and known answers."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.metrics import (
    h_score,
    leave_one_out_accuracy,
    leep,
    negative_conditional_entropy,
    parc,
    representation_similarity,
)

RNG = np.random.default_rng(0)
LABELS = np.array([0, 0, 1, 1, 2, 2, 2, 0, 1])
FEATURES = RNG.normal(size=(9, 4)) + 2 * np.eye(3, 4)[LABELS]
PROBS = RNG.dirichlet(np.ones(5), 9)


def dissimilarities(x):
    return 1 - np.corrcoef(x)[np.triu_indices(len(x), 1)]


def test_parc_is_the_rank_correlation_of_scipy():
    x = (FEATURES - FEATURES.mean(0)) / FEATURES.std(0)
    pairs = dissimilarities(x), dissimilarities(np.eye(3)[LABELS]).round(12)
    np.testing.assert_allclose(parc(FEATURES, LABELS), 100 * spearmanr(*pairs)[0])
    both = FEATURES, RNG.normal(size=(9, 6))
    found = representation_similarity(*both)
    np.testing.assert_allclose(found, spearmanr(*map(dissimilarities, both))[0])


def test_what_parc_does_not_depend_on():
    wanted = parc(FEATURES, LABELS)
    order = RNG.permutation(9)
    moved = FEATURES * RNG.uniform(0.1, 3, 4) + RNG.normal(size=4)
    constant = np.c_[FEATURES, np.full(9, 1e6)]
    names = np.array(["c", "a", "b"])[LABELS]
    for x, y in ((moved, LABELS), (FEATURES[order], LABELS[order])):
        np.testing.assert_allclose(parc(x, y), wanted)
    np.testing.assert_allclose(parc(FEATURES, names), wanted)
    without = parc(np.c_[FEATURES, np.zeros(9)], LABELS)
    np.testing.assert_allclose(parc(constant, LABELS), without)


def test_the_ends_of_parc():
    balanced = np.repeat(np.arange(3), 3)
    np.testing.assert_allclose(parc(np.eye(3)[balanced], balanced), 100)
    unbalanced = np.array([0] * 5 + [1, 1, 2, 2])
    assert 50 < parc(np.eye(3)[unbalanced], unbalanced) < 99, "ties are broken"
    assert parc(np.ones((9, 2)), LABELS) == 0
    noise = RNG.normal(size=(300, 20))
    assert abs(parc(noise, RNG.integers(0, 3, 300))) < 3
    assert parc(FEATURES, LABELS, components=4) == pytest.approx(parc(FEATURES, LABELS))
    assert parc(FEATURES, LABELS, components=1) != pytest.approx(parc(FEATURES, LABELS))


def test_leep_and_nce_by_loops():
    def by_loops(theta):
        joint = np.zeros((3, theta.shape[1]))
        for row, y in zip(theta, LABELS, strict=True):
            joint[y] += row / 9
        given = joint / np.maximum(joint.sum(0), 1e-300)
        return np.mean(
            [np.log(given[y] @ r) for r, y in zip(theta, LABELS, strict=True)]
        )

    np.testing.assert_allclose(leep(PROBS, LABELS), by_loops(PROBS))
    hard = np.eye(5)[PROBS.argmax(1)]
    found = negative_conditional_entropy(PROBS, LABELS)
    np.testing.assert_allclose(found, by_loops(hard))
    # Another source class for each target class tells all; one source class nothing.
    assert leep(np.eye(3)[LABELS], LABELS) == 0
    same = leep(np.full((9, 2), 0.5), LABELS)
    np.testing.assert_allclose(same, -np.log(3))


def test_h_score_and_neighbours():
    centred = FEATURES - FEATURES.mean(0)
    means = np.stack([centred[y == LABELS].mean(0) for y in LABELS])
    wanted = np.trace(np.linalg.pinv(centred.T @ centred) @ (means.T @ means))
    np.testing.assert_allclose(h_score(FEATURES, LABELS), wanted)
    mixed = FEATURES @ RNG.normal(size=(4, 4)) + 5
    doubled = np.c_[mixed, mixed[:, :2]]
    np.testing.assert_allclose(h_score(doubled, LABELS), wanted)
    distance = np.linalg.norm(FEATURES[:, None] - FEATURES[None], axis=-1)
    np.fill_diagonal(distance, np.inf)
    right = np.mean(LABELS[distance.argmin(1)] == LABELS)
    assert leave_one_out_accuracy(FEATURES, LABELS) == right
    # Two neighbours of two classes: the nearer one decides.
    line = np.array([[0.0], [0.1], [0.3], [0.65]])
    assert leave_one_out_accuracy(line, [0, 0, 1, 1], k=2) == 0.75


@pytest.mark.parametrize(
    "call, said",
    [
        (lambda: parc(FEATURES, LABELS * 0), "labels must have two classes; all are 0"),
        (lambda: parc(FEATURES[:2], LABELS[:2]), "at least 3 rows; got 2"),
        (lambda: parc(FEATURES * np.nan, LABELS), "features must be finite"),
        (lambda: parc(FEATURES + 1j, LABELS), "features must be real"),
        (lambda: parc(FEATURES, LABELS[:3]), r"shape \(9,\); got \(3,\)"),
        (lambda: parc(FEATURES, LABELS, components=0), "components must"),
        (lambda: leep(PROBS * 2, LABELS), "row 0 sums to 2"),
        (lambda: leave_one_out_accuracy(FEATURES, LABELS, k=9), "below the number of"),
        (lambda: representation_similarity(FEATURES, PROBS[:4]), "as many rows"),
    ],
)
def test_bad_input_gets_one_line(call, said):
    with pytest.raises(InputError, match=said):
        call()
