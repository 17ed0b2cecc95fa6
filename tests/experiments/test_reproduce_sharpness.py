"""The experiment on digits, at a tiny size."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.reproduce.sharpness import __main__ as command
from experiments.reproduce.sharpness import claims, rows, samples, training
from experiments.reproduce.sharpness.config import CONFIGS
from experiments.statistics import bootstrap_interval
from jaxopt_lab.errors import InputError

TINY = dataclasses.replace(
    CONFIGS["quick"], seeds=2, steps=3, width=8, noise_draws=1, resamples=100
)
BY_NAME = {row.name: row for row in rows.ROWS}
LABELS = jnp.arange(1797, dtype=jnp.int32) % 10


@pytest.fixture
def as_in_the_command():
    # The suite runs in float64 and forbids rank promotion.
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        yield


@pytest.mark.slow
def test_runs_and_leaves_its_files(tmp_path, capsys, as_in_the_command):
    chosen = [BY_NAME[n] for n in ("sgd", "sam", "lookbehind k=2 adaptive")]
    verdicts = command.run(TINY, chosen, tmp_path)
    assert {v.claim.better for v in verdicts} == {"sam", "lookbehind k=2 adaptive"}
    record = json.loads((tmp_path / "results.json").read_text())
    assert len(record["results"]) == len(chosen) * len(claims.columns(TINY))
    for found in record["results"]:
        assert len(found["curve"]) == 4 and len(found["test_accuracy"]) == 2
        assert 0 <= min(found["curve"]) <= max(found["curve"]) <= 1
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert "sam > sgd" in capsys.readouterr().out


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_all_rows_have_the_same_tuning_budget(config):
    sizes = {len(rows.settings(row, config)) for row in rows.ROWS}
    assert sizes == {len(config.rates)}
    row = dataclasses.replace(BY_NAME["sam"], radii=(0.1,))
    with pytest.raises(InputError, match="sam has 1 settings|sam has 2 settings"):
        rows.settings(row, config)


def test_every_claim_is_about_rows_and_columns_that_there_are():
    headings = {column.name for column in claims.columns(TINY)}
    for claim in claims.claims(TINY):
        assert claim.column in headings
        assert {claim.better, claim.worse} <= set(BY_NAME)


def test_samples_are_disjoint_and_only_labels_differ_between_the_cases():
    right = samples.draw(TINY, LABELS, flipped=0.0, steps=3)
    wrong = samples.draw(TINY, LABELS, flipped=0.2, steps=3)
    for name in ("train", "validation", "test", "order"):
        np.testing.assert_array_equal(getattr(right, name), getattr(wrong, name))
    assert right.test.shape == (2, 997)
    for parts in zip(right.train, right.validation, right.test, strict=True):
        assert set(np.concatenate(parts).tolist()) == set(range(1797))
    np.testing.assert_array_equal(right.labels, LABELS[right.train])
    changed = np.sum(np.asarray(right.labels != wrong.labels), axis=1)
    np.testing.assert_array_equal(changed, [80, 80])
    assert set(np.unique(wrong.labels)) <= set(range(10))
    assert not np.array_equal(right.train[0], right.train[1])


def test_noise_is_on_kernels_and_scales_with_the_largest_weight():
    kernel = jnp.zeros((300, 300)).at[0, 0].set(-2.0)
    params = {"kernel": kernel, "bias": jnp.ones(5)}
    noisy = training.with_noise(params, 0.1, jax.random.key(0))
    np.testing.assert_array_equal(noisy["bias"], params["bias"])
    moved = np.asarray(noisy["kernel"] - kernel)
    # Four standard errors of a standard deviation from 90,000 draws.
    assert abs(moved.std() - 0.2) < 4 * 0.2 / np.sqrt(2 * moved.size)
    still = training.with_noise(params, 0.0, jax.random.key(0))
    np.testing.assert_array_equal(still["kernel"], kernel)


def test_the_setting_is_chosen_on_the_validation_part_under_the_same_noise():
    scores = np.zeros((2, 4, 2, 3, 2))
    scores[0, 2, :, 0, 0] = 0.9  # clean validation prefers setting 2
    scores[0, 1, :, 1, 0] = 0.8  # noisy validation prefers setting 1
    scores[0, 3, :, :, 1] = 1.0  # the test part would prefer setting 3
    scores[0, 1, :, 1, 1] = [0.4, 0.6]
    clean, noisy = claims.columns(TINY)[:2]
    assert claims.result(BY_NAME["sam"], scores, clean, TINY).chosen == 2
    found = claims.result(BY_NAME["sam"], scores, noisy, TINY)
    assert found.chosen == 1 and not found.at_the_edge
    np.testing.assert_array_equal(found.test, [0.4, 0.6])


@pytest.mark.parametrize(
    ("gains", "word"),
    [
        ((0.1, 0.2, 0.3), "holds"),
        ((-0.1, 0.2), "undecided"),
        ((-0.2, -0.1), "does not"),
    ],
)
def test_verdicts(gains, word):
    def of(test):
        return claims.Result(0, False, np.array(test), np.zeros(4))

    claim = claims.Claim("clean", "sam", "sgd")
    results = {("sam", "clean"): of(gains), ("sgd", "clean"): of([0.0] * len(gains))}
    assert claims.verdict(claim, results, TINY).word == word


def test_bootstrap_interval_covers_the_mean_about_as_often_as_it_says():
    draws = np.random.default_rng(1).normal(size=(400, 20))
    intervals = [
        bootstrap_interval(x, resamples=500, seed=i) for i, x in enumerate(draws)
    ]
    covered = np.mean([low <= 0 <= high for low, high in intervals])
    assert 0.88 < covered < 0.98


def test_bad_words_are_refused(capsys):
    assert command.main(["huge"]) == 2
    assert command.main(["quick", "where=here"]) == 2
    assert "accepted: out=FOLDER" in capsys.readouterr().err
