"""NDCG, reciprocal rank and average precision: scikit-learn, ties, padding."""

import jax
import numpy as np
import pytest
from sklearn import metrics as sklearn

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.metrics import (
    mean_average_precision,
    mean_reciprocal_rank,
    ndcg,
    together,
)

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 4, (6, 7))
LABELS[0], LABELS[1] = [0, 0, 0, 1, 0, 0, 0], 0
TIED = np.round(RNG.normal(size=(6, 7)), 0)
EVERY = together(ndcg(top=4), mean_reciprocal_rank(), mean_average_precision())


@jax.jit
def values_of(batch):
    return EVERY.compute(EVERY.update(EVERY.init(np.float64), batch))


def by_sklearn(scores, labels):
    """Over the lists with a relevant document; a document of no score is left out."""
    found = {"ndcg": [], "mean_reciprocal_rank": [], "mean_average_precision": []}
    for s, y in zip(scores, labels, strict=True):
        s, y = s[~np.isnan(s)], y[~np.isnan(s)]
        if not y.any():
            continue
        gains = 2.0**y - 1
        found["ndcg"].append(sklearn.ndcg_score([gains], [s], k=4))
        precision = sklearn.average_precision_score(y >= 1, s)
        found["mean_average_precision"].append(precision)
        last = [np.sum(s >= s[i]) for i in np.flatnonzero(y)]
        found["mean_reciprocal_rank"].append(1 / min(last))
    return {name: np.mean(v) for name, v in found.items()}


@pytest.mark.parametrize("ties", [True, False])
def test_they_are_those_of_scikit_learn(ties):
    scores = TIED if ties else TIED + 0.1 * RNG.normal(size=TIED.shape)
    found = values_of({"outputs": scores, "targets": LABELS})
    wanted = by_sklearn(scores, LABELS)
    for name, value in found.items():
        np.testing.assert_allclose(value, wanted[name], rtol=1e-12, err_msg=name)


def test_padding_of_a_list_may_hold_anything():
    where = np.ones((6, 7))
    where[0, :2] = where[2, 3:] = where[4, 6] = 0
    scores = np.where(where == 1, TIED, np.nan)
    labels = np.where(where == 1, LABELS, -1)
    found = values_of({"outputs": scores, "targets": labels, "where": where})
    wanted = by_sklearn(scores, labels)
    for name, value in found.items():
        np.testing.assert_allclose(value, wanted[name], rtol=1e-12, err_msg=name)


def test_equal_scores_are_no_answer_and_lists_of_nothing_do_not_count():
    flat, alone = np.zeros((6, 7)), np.zeros((6, 7), int)
    alone[:, 0] = 1
    found = values_of({"outputs": flat, "targets": alone})
    assert float(found["mean_reciprocal_rank"]) == pytest.approx(1 / 7)
    assert float(found["mean_average_precision"]) == pytest.approx(1 / 7)
    mean = np.sum(1 / np.log2(np.arange(2, 6))) / 7
    assert float(found["ndcg"]) == pytest.approx(mean)
    nothing = values_of({"outputs": TIED, "targets": 0 * alone})
    assert all(np.isnan(value) for value in nothing.values())
    poisoned = values_of(
        {"outputs": np.where(TIED == 1, np.nan, TIED), "targets": LABELS}
    )
    assert all(np.isnan(value) for value in poisoned.values())


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        ({"outputs": TIED}, "the batch has no 'targets'"),
        ({"outputs": TIED[0], "targets": LABELS[0]}, "shape \\(lists, documents\\)"),
        ({"outputs": TIED, "targets": LABELS[:, 1:]}, "targets must have the shape of"),
        ({"outputs": TIED, "targets": -LABELS}, "targets must be at least 0"),
        (
            {"outputs": TIED, "targets": LABELS, "weight": np.ones(7)},
            "weight must have shape \\(6,\\)",
        ),
        (
            {"outputs": TIED, "targets": LABELS, "where": np.ones(7)},
            "where must have the shape of the outputs",
        ),
    ],
)
def test_what_they_refuse(batch, words):
    with pytest.raises(InputError, match=words):
        EVERY.update(EVERY.init(), batch)


def test_options_are_checked():
    with pytest.raises(InputError, match="top must be a whole number"):
        ndcg(top=0)
    with pytest.raises(InputError, match="least must be"):
        mean_average_precision(least=0.0)
