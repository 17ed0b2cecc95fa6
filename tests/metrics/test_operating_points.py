"""OPIS against loops over pairs, its zeros and what it does not depend on."""

import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.metrics import operating_point_inconsistency

RNG = np.random.default_rng(1)
LABELS = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 3])
X = RNG.normal(size=(10, 3)) + 2 * np.eye(4, 3)[LABELS]
OPTIONS = {"far": (0.05, 0.4), "thresholds": 7}


def by_loops(x, y, far, thresholds):
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    d = np.linalg.norm(x[:, None] - x[None], axis=-1).round(7)
    n = len(y)
    pairs = [(i, j) for i in range(n) for j in range(i + 1, n)]
    negative = [d[i, j] for i, j in pairs if y[i] != y[j]]
    found = []
    for t in np.linspace(*np.quantile(negative, far), thresholds):
        row = []
        for c in np.unique(y):
            own = [d[i, j] <= t for i, j in pairs if y[i] == y[j] == c]
            cross = [d[i, j] > t for i, j in pairs if (y[i] == c) != (y[j] == c)]
            if own:
                a, b = np.mean(own), np.mean(cross)
                row.append(2 * a * b / (a + b) if a + b else 0.0)
        found.append(row)
    return np.array(found)


def test_it_is_that_of_loops_in_any_blocks():
    wanted = by_loops(X, LABELS, **OPTIONS)
    for block in (3, 1024):
        found = operating_point_inconsistency(X, LABELS, block=block, **OPTIONS)
        np.testing.assert_allclose(found.utilities, wanted)
        np.testing.assert_allclose(found.value, wanted.var(axis=1).mean())
        assert found.left_out == 1
    order = np.argsort(wanted.mean(0))
    apart = wanted[:, order[0]] - wanted[:, order[-1]]
    np.testing.assert_allclose(found.worst, np.mean(apart**2))


def test_what_it_does_not_depend_on():
    wanted = operating_point_inconsistency(X, LABELS, **OPTIONS).value
    turn, _ = np.linalg.qr(RNG.normal(size=(3, 3)))
    order = RNG.permutation(10)
    names = np.array(["x", "b", "a", "z"])[LABELS]
    longer = X * RNG.uniform(0.1, 9, (10, 1))
    for x, y in ((X @ turn, LABELS), (X[order], LABELS[order]), (longer, names)):
        found = operating_point_inconsistency(x, y, **OPTIONS).value
        np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_congruent_classes_are_consistent():
    # Three classes, turned into one another by a permutation of the coordinates.
    one = np.array([[1.0, 0.2, 0.1], [1.0, 0.1, 0.2], [1.0, 0.4, 0.4]])
    x = np.concatenate([np.roll(one, k, axis=1) for k in range(3)])
    found = operating_point_inconsistency(x, np.repeat(range(3), 3), far=(0.0, 1.0))
    assert found.value < 1e-20 and found.worst < 1e-20
    assert np.ptp(found.utilities[:, 0]) > 0.1


@pytest.mark.parametrize(
    "change, said",
    [
        ({"embeddings": X * 0}, "embedding 0 is zero"),
        ({"labels": np.arange(10)}, "fewer than two classes have two examples"),
        ({"far": (0.5, 0.1)}, "far must be two rising shares"),
        ({"worst": 0.0}, "worst must"),
    ],
)
def test_bad_input_gets_one_line(change, said):
    with pytest.raises(InputError, match=said):
        operating_point_inconsistency(**{"embeddings": X, "labels": LABELS, **change})
