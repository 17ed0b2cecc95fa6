"""Bank normalization: equal banks, popular items, limits, planted hubs, recall."""

import jax
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.metrics import (
    dual_inverted_softmax,
    hubness_skewness,
    inverted_softmax,
    recall_at,
)

RNG = np.random.default_rng(0)
SIM, QUERIES, GALLERY = (RNG.normal(size=(n, 6)) for n in (9, 7, 5))


def order(scores):
    return np.argsort(-np.asarray(scores), axis=1)


def test_it_is_the_product_of_two_quotients():
    got = jax.jit(dual_inverted_softmax)(SIM, QUERIES, GALLERY)
    ratio = lambda b, bank: np.exp(b * SIM) / np.sum(np.exp(b * bank), axis=0)
    wanted = ratio(1 / 1.99, QUERIES) * ratio(3.0, GALLERY)
    np.testing.assert_allclose(np.exp(got), wanted, rtol=1e-12)
    one = jax.jit(lambda *a: inverted_softmax(*a, scale=2.0))(SIM, QUERIES)
    np.testing.assert_allclose(np.exp(one), ratio(2.0, QUERIES), rtol=1e-12)


def test_no_norm_is_taken_of_similarities_or_banks():
    run = jax.jit(dual_inverted_softmax)
    scaled = run(3 * SIM, 3 * QUERIES, 3 * GALLERY)
    wanted = run(SIM, QUERIES, GALLERY, query_scale=3 / 1.99, gallery_scale=9.0)
    np.testing.assert_allclose(scaled, wanted, rtol=1e-12)


def test_equal_columns_of_the_banks_change_no_ranking():
    flat = np.ones((3, 6)) * np.array([[0.3], [2.0], [-1.0]])
    got = jax.jit(dual_inverted_softmax)(SIM, flat, flat)
    np.testing.assert_array_equal(order(got), order(SIM))


def test_what_an_item_has_in_all_matrices_does_not_count():
    add = RNG.normal(size=6)
    run = jax.jit(dual_inverted_softmax)
    one, two = run(SIM, QUERIES, GALLERY), run(SIM + add, QUERIES + add, GALLERY + add)
    np.testing.assert_allclose(one, two, rtol=1e-10, atol=1e-12)


def test_without_the_gallery_it_is_the_inverted_softmax():
    run = jax.jit(
        lambda s, q, g: (
            dual_inverted_softmax(s, q, g, query_scale=4.0, gallery_scale=0.0),
            inverted_softmax(s, q, scale=4.0),
        )
    )
    dual, single = run(SIM, QUERIES, GALLERY)
    np.testing.assert_allclose(dual + np.log(5), single, rtol=1e-12)


def test_dynamic_rows():
    def run(s, q, g, k):
        return dual_inverted_softmax(s, q, g, dynamic_top_k=k)

    run = jax.jit(run, static_argnums=3)
    queries, gallery = QUERIES[:2], GALLERY[:1]
    full = run(SIM, queries, gallery, None)
    np.testing.assert_array_equal(order(run(SIM, queries, gallery, 0)), order(SIM))
    np.testing.assert_array_equal(run(SIM, queries, gallery, 6), full)
    active = {*np.argmax(queries, axis=1), *np.argmax(gallery, axis=1)}
    rows = np.isin(np.argmax(SIM, axis=1), list(active))
    found = run(SIM, queries, gallery, 1)
    assert 0 < rows.sum() < 9
    np.testing.assert_array_equal(found[rows], full[rows])
    np.testing.assert_array_equal(order(found)[~rows], order(SIM)[~rows])


def test_a_planted_hub_never_wins_more_often():
    hub = np.array([0, 0, 4.0, 0, 0, 0])
    run = jax.jit(dual_inverted_softmax)
    wins = [
        np.sum(order(run(SIM + h, QUERIES + h, GALLERY + h))[:, 0] == 2)
        for h in (0 * hub, hub)
    ]
    assert wins[1] <= wins[0]
    skew = jax.jit(lambda s: hubness_skewness(s, k=1))
    assert skew(SIM + hub) > skew(run(SIM + hub, QUERIES + hub, GALLERY + hub))


def test_skewness_counts_the_items_that_nobody_has():
    sim = np.eye(4)[[0, 0, 0, 1]]
    counts = np.array([3, 1, 0, 0])
    apart = counts - counts.mean()
    wanted = np.mean(apart**3) / np.mean(apart**2) ** 1.5
    got = jax.jit(lambda s: hubness_skewness(s, k=1))(np.stack([sim, np.eye(4)])[0])
    np.testing.assert_allclose(got, wanted, rtol=1e-12)
    assert hubness_skewness(np.eye(4), k=1) == 0


def test_recall():
    scores = np.array([[0.5, 0.5, 0.1], [0.5, 0.5, 0.1], [0.3, 0.2, 0.1]])
    found = jax.jit(lambda s, t: recall_at(s, t, ks=(1, 2, 3)))(
        scores, np.array([0, 1, 2])
    )
    assert [round(float(v), 6) for v in found.values()] == [0.333333, 0.666667, 1.0]


@pytest.mark.parametrize(
    "run, words",
    [
        (
            lambda: inverted_softmax(SIM, QUERIES[:, :5]),
            r"must be \(items, 6\) with",
        ),
        (lambda: inverted_softmax(SIM, QUERIES[:0]), "at least one item; got"),
        (
            lambda: inverted_softmax(SIM[0], QUERIES),
            r"sim must be \(queries, gal",
        ),
        (
            lambda: inverted_softmax(SIM, QUERIES, scale=-1.0),
            "scale must be at least",
        ),
        (
            lambda: dual_inverted_softmax(SIM, QUERIES, GALLERY, dynamic_top_k=-1),
            "dynamic_top_k must be a whole number of at least 0; got -1",
        ),
        (lambda: hubness_skewness(SIM, k=7), "k must be at most the gallery, 6; got 7"),
        (lambda: recall_at(SIM, np.arange(3)), r"targets must be \(9,\), one for each"),
    ],
)
def test_what_does_not_fit(run, words):
    with pytest.raises(InputError, match=words):
        run()
