"""Poisson factors: smoke test, losses by SciPy, an exact autoregression, bad input."""

import dataclasses
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from experiments.applications.poisson_factors import data
from experiments.applications.poisson_factors.__main__ import APPLICATION
from experiments.applications.poisson_factors.config import MODELS
from experiments.applications.poisson_factors.measure import (
    autoregression,
    loss,
    prepare,
)
from jaxopt_lab.core.errors import InputError

QUICK = APPLICATION.sizes["quick"]


@pytest.mark.full
def test_smoke(smoke):
    tiny = dataclasses.replace(
        QUICK,
        seeds=1,
        blocks=5,
        drawn=(4, 2),
        factors=2,
        ahead=1,
        steps=4,
        models=MODELS[:1],
    )
    assert np.isfinite(smoke(APPLICATION, tiny)["measured"]["losses"]).all()


def test_losses_are_those_of_the_distribution():
    n, rates = np.array([[0, 3], [1, 7]]), np.array([[0.2, 2.0], [1.5, 9.0]])
    counts = -stats.poisson.logpmf(n, rates).mean()
    assert loss(n, rates, binary=False) == pytest.approx(counts, abs=1e-12)
    there = np.log(1 - np.exp(-rates))
    wanted = -np.mean(np.where(n > 0, there, -rates))
    assert loss(n, rates, binary=True) == pytest.approx(wanted, abs=1e-12)


def test_the_autoregression_goes_on_with_an_exact_one():
    x = np.array([[2.0, 1.0], [1.0, 2.0]] * 3)  # around 1.5, slope -1
    forecast = np.log1p(autoregression(np.expm1(x), 2))
    np.testing.assert_allclose(forecast, x[:2], atol=1e-12)


def test_words_of_the_library_are_counted():
    config = dataclasses.replace(QUICK, blocks=3, block=50, words=10)
    counts = data.counts_of("words", config)
    assert counts.shape == (3, 10) and np.all(counts.sum(1) <= 50)
    assert np.all(np.diff(counts.sum(0)) <= 0) and counts.sum() > 30
    assert set(np.unique(data.counts_of("binary", config))) <= {0, 1}


def test_drawn_counts_do_not_die_out():
    for seed in range(5):
        config = dataclasses.replace(QUICK, blocks=30, drawn=(6, 3), first_seed=seed)
        counts = data.counts_of("drawn", config)
        assert counts.shape == (30, 6) and counts.dtype == np.int32
        assert np.all(counts[-config.ahead :].sum(axis=1) >= 6)
        np.testing.assert_array_equal(counts, data.counts_of("drawn", config))


def test_sunspots_are_three_years_in_a_step(monkeypatch):
    years = np.arange(309.0) + 0.4

    class Sunspots:
        @staticmethod
        def load_pandas():
            return SimpleNamespace(data={"SUNACTIVITY": years})

    monkeypatch.setitem(sys.modules, "statsmodels.datasets.sunspots", Sunspots)
    counts = data.counts_of("sunspots", QUICK)
    np.testing.assert_array_equal(counts, np.arange(309).reshape(103, 3))
    monkeypatch.setitem(sys.modules, "statsmodels.datasets.sunspots", None)
    with pytest.raises(InputError, match="pip install statsmodels"):
        data.counts_of("sunspots", QUICK)


def test_bad_input():
    with pytest.raises(InputError, match="the text has 2 words, 1 different ones"):
        data.word_counts(iter(["a", "a"]), 2, 2, 1)
    with pytest.raises(InputError, match="data"):
        prepare(QUICK, data="sun")
    assert prepare(QUICK, data="binary")[0].sets == ("binary",)
