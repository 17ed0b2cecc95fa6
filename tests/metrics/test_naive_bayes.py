"""Naive Bayes: posterior, merging, linear discriminants, affine maps, bad labels."""

import jax
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.metrics import (
    apply_naive_bayes,
    fit_naive_bayes,
    merge_naive_bayes,
    naive_bayes_sums,
)

RNG = np.random.default_rng(0)
Y = RNG.integers(0, 3, 40)
X = RNG.normal(size=(40, 2)) * [1, 3] + np.array([[0, 0], [2, 1], [-1, 4]])[Y]
GIVEN = {"features": X, "targets": Y}


@pytest.fixture(scope="module")
def found():
    @jax.jit
    def run(x):
        given = {"features": x, "targets": Y}
        fit = lambda x, **o: fit_naive_bayes({**given, "features": x}, classes=3, **o)
        plain = apply_naive_bayes(fit(x, scale=False, eps=1e-12), x)
        moved = x * np.array([[-5.0, 0.1]]) + 7
        affine = apply_naive_bayes(fit(moved, eps=1e-12), moved)
        first = apply_naive_bayes(fit(x[:, :1], scale=False), x[:, :1])
        parts = [naive_bayes_sums(x[a:b], Y[a:b], classes=3) for a, b in PARTS]
        merged = merge_naive_bayes(merge_naive_bayes(parts[2], parts[0]), parts[1])
        whole = naive_bayes_sums(x, Y, classes=3)
        return plain, affine, first, merged, whole

    return run(X)


PARTS = ((0, 1), (1, 17), (17, 40))


def test_the_softmax_is_the_posterior_of_the_pooled_model(found):
    from scipy.stats import norm

    share = np.bincount(Y) / 40
    means = np.array([X[k == Y].mean(0) for k in range(3)])
    variance = sum(share[k] * X[k == Y].var(0) for k in range(3))
    logs = norm.logpdf(X[:, None], means[None], np.sqrt(variance)).sum(2)
    wanted = np.exp(logs) * share
    wanted /= wanted.sum(1, keepdims=True)
    got = np.exp(found[0] - found[0].max(1, keepdims=True))
    np.testing.assert_allclose(got / got.sum(1, keepdims=True), wanted, rtol=1e-9)


def test_affine_maps_of_features_leave_the_posterior(found):
    center = lambda z: z - z.mean(1, keepdims=True)
    np.testing.assert_allclose(center(found[1]), center(found[0]), rtol=1e-6, atol=1e-7)


def test_of_one_feature_it_is_the_linear_discriminant(found):
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    lda = LinearDiscriminantAnalysis(solver="lsqr").fit(X[:, :1], Y)
    center = lambda z: z - z.mean(1, keepdims=True)
    wanted = lda.decision_function(X[:, :1])
    np.testing.assert_allclose(center(found[2]), center(wanted), rtol=1e-6, atol=1e-7)


def test_merged_parts_are_the_whole(found):
    for a, b in zip(found[3], found[4], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_bad_data_are_refused():
    with pytest.raises(InputError, match="classes from 0 to 1; got 2"):
        fit_naive_bayes({"features": X[:3], "targets": np.arange(3)}, classes=2)
    with pytest.raises(InputError, match="features must be real"):
        fit_naive_bayes({"features": Y[:, None], "targets": Y}, classes=3)
    with pytest.raises(InputError, match="got float64"):
        fit_naive_bayes({"features": X[:, 0], "targets": Y}, classes=3)
