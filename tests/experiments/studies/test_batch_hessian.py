"""The study on the batch size, at a tiny size."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from experiments.harness.verdicts import judge
from experiments.studies.batch_hessian import claims, measure
from experiments.studies.batch_hessian.__main__ import STUDY
from experiments.studies.batch_hessian.config import SIZES as SETTINGS

TINY = dataclasses.replace(
    SETTINGS["quick"],
    examples=32,
    width=3,
    warm_steps=5,
    batch_sizes=(2, 8),
    batches=2,
    lanczos_steps=3,
    variance_batch_size=4,
    variance_batches=2,
    variance_probes=2,
    gram_examples=3,
    gram_draws=1,
    steps=2,
    seeds=2,
    rates=4,
)


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path, capsys):
    # The suite runs in float64 and forbids rank promotion.
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        verdicts = STUDY.run(TINY, tmp_path / "new").verdicts
    record = json.loads((tmp_path / "new" / "results.json").read_text())
    assert np.shape(record["spectra"]["largest"]) == (2, 2)
    assert record["spectra"]["variance"][0] > 0
    assert {name: np.shape(v) for name, v in record["rates"].items()} == {
        "sgd": (2, 2),
        "adam": (2, 2),
        "linearised": (2, 1),
    }
    assert len(record["verdicts"]) == len(verdicts) == 12
    assert (tmp_path / "new" / "batch_size.png").read_bytes().startswith(b"\x89PNG")
    assert "linear" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([1.0, 1.0, 9.0, 1.0], 2**1.5),
        ([1.0, np.nan, 1.0, 1.0], 2**0.5),
        ([1.0, 1.0, 1.0, 1.0], np.nan),
        ([9.0, 1.0, 1.0, 1.0], np.nan),
    ],
)
def test_the_largest_stable_rate_is_below_the_first_that_is_not(losses, expected):
    grid = np.array([1.0, 2.0, 4.0, 8.0])
    np.testing.assert_allclose(measure.largest_stable(grid, np.array(losses)), expected)


SIZES = (2, 4, 8, 16, 32, 64, 128)
CONFIG = dataclasses.replace(TINY, batch_sizes=SIZES)
B = np.array(SIZES, float)[:, None]


def test_slopes_are_those_of_power_laws():
    rates = B**0.7 * np.array([[1.0, 2.0, 3.0]])
    np.testing.assert_allclose(claims.slopes(SIZES, rates), [0.7] * 3, rtol=1e-12)
    rates[3, 1] = np.nan
    np.testing.assert_allclose(claims.slopes(SIZES, rates), [0.7] * 2)
    assert claims.slopes(SIZES, rates * np.nan).size == 0


def spectra(largest, predicted=None):
    both = np.array([largest, -largest])
    drawn = largest[:, None] * np.array([[0.99, 1.0, 1.01, 1.0, 1.0, 1.0]])
    return measure.Spectra(
        largest=drawn,
        smallest=-drawn,
        whole=(1.0, -1.0),
        residual=0.0,
        variance=(1.0, 0.0),
        predicted=both if predicted is None else predicted,
        num_params=5,
    )


def words(rates, largest=None):
    largest = 1 + 8 / B[:, 0] if largest is None else largest
    measured = measure.Measured(1.0, spectra(largest), rates)
    return [v.word for v in judge(claims.claims(measured, CONFIG))]


def test_verdicts_of_the_theory_itself_and_of_its_opposite():
    spread = np.array([[1.0, 1.01, 1.02, 1.0, 1.01, 1.02]])
    # Linear up to 16, then flat; the square root of that for Adam.
    rule = np.minimum(B, 16.0) * spread
    theory = {"sgd": rule, "adam": rule**0.5, "linearised": rule / 2}
    found = words(theory)
    assert found[:8] == ["shown"] * 8
    assert found[8:10] == ["shown"] * 2 and found[11] == "shown"
    other = {"sgd": rule**0, "adam": rule, "linearised": 2 * rule}
    found = words(other, largest=np.linspace(0.5, 1.0, len(SIZES)))
    assert found[0] == "contradicted" and found[3] == "contradicted"
    assert found[7] == "contradicted" and found[9] == "contradicted"
    assert found[11] == "contradicted"


def test_wide_intervals_are_undecided():
    rates = np.exp(np.random.default_rng(0).normal(size=(len(SIZES), 6)) * 3)
    everything = {"sgd": rates, "adam": rates, "linearised": rates}
    assert words(everything)[3:10] == ["undecided"] * 7
