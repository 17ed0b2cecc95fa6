"""The experiment on the batch size, at a tiny size."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from experiments.studies.batch_hessian import __main__ as command
from experiments.studies.batch_hessian import claims, measure
from experiments.studies.batch_hessian.config import CONFIGS
from jaxopt_lab.curvature.stability.element_variance import ElementVariance

TINY = dataclasses.replace(
    CONFIGS["quick"],
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
        verdicts = command.run(TINY, tmp_path / "new")
    record = json.loads((tmp_path / "new" / "results.json").read_text())
    assert np.shape(record["spectra"]["largest"]) == (2, 2)
    assert record["spectra"]["element_variance"] > 0
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
    found = claims.slope(SIZES, rates, CONFIG)
    np.testing.assert_allclose(found.mean, 0.7, rtol=1e-12)
    assert found.half < 1e-12
    rates[3, 1] = np.nan
    np.testing.assert_allclose(claims.slope(SIZES, rates, CONFIG).mean, 0.7)
    assert np.isnan(claims.slope(SIZES, rates * np.nan, CONFIG).mean)


def spectra(largest, predicted=None):
    both = np.array([largest, -largest])
    return measure.Spectra(
        largest=largest[:, None],
        smallest=-largest[:, None],
        whole=(1.0, -1.0),
        residual=0.0,
        variance=ElementVariance(np.float64(1.0), np.float64(0.0)),
        predicted=both if predicted is None else predicted,
        num_params=5,
    )


def words(rates, largest=None):
    largest = 1 + 8 / B[:, 0] if largest is None else largest
    return [v.word for v in claims.verdicts(spectra(largest), rates, CONFIG)]


def test_verdicts_of_the_theory_itself_and_of_its_opposite():
    spread = np.array([[1.0, 1.01, 1.02]])
    # Linear up to 16, then flat; the square root of that for Adam.
    rule = np.minimum(B, 16.0) * spread
    theory = {"sgd": rule, "adam": rule**0.5, "linearised": rule / 2}
    found = words(theory)
    assert found[:8] == ["holds"] * 8
    assert found[8:10] == ["holds"] * 2 and found[11] == "holds"
    other = {"sgd": rule**0, "adam": rule, "linearised": 2 * rule}
    found = words(other, largest=np.linspace(0.5, 1.0, len(SIZES)))
    assert found[0] == "does not" and found[3] == "does not"
    assert found[7] == "does not" and found[9] == "does not"
    assert found[11] == "does not"


def test_wide_intervals_are_undecided():
    rates = np.exp(np.random.default_rng(0).normal(size=(len(SIZES), 3)) * 3)
    everything = {"sgd": rates, "adam": rates, "linearised": rates}
    assert words(everything)[3:10] == ["undecided"] * 7


def test_bad_words_are_refused(capsys):
    assert command.main(["huge"]) == 2
    assert command.main(["quick", "where=here"]) == 2
    assert "accepted: out" in capsys.readouterr().err
    assert command.main(["--help"]) == 0
    assert "usage: python -m experiments.studies.batch_hessian" in (
        capsys.readouterr().out
    )
