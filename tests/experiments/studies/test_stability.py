"""The study on thresholds of SGD, at a tiny size."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.harness.verdicts import judge
from experiments.studies.stability import claims, measure, problems
from experiments.studies.stability.__main__ import STUDY
from experiments.studies.stability.config import SIZES
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.curvature.stability.simulator import PlainRuns

TINY = dataclasses.replace(
    SIZES["quick"],
    factors=(0.9, 1.1),
    samplings=("bernoulli", "with_replacement"),
    runs=300,
    steps=60,
    seeds=5,
    problems=("groups",),
    network_runs=3,
    network_steps=3,
    network_examples=3,
    network_batch_sizes=(1,),
    groups_batch_sizes=(1, 2),
    linear_batch_sizes=(1,),
    plain_runs=20,
    plain_steps=5,
)
IMAGES = np.random.default_rng(0).uniform(size=(5, 8, 8, 1))
LABELS = np.arange(5)


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path, capsys):
    verdicts = STUDY.run(TINY, tmp_path / "new").verdicts
    record = json.loads((tmp_path / "new" / "results.json").read_text())
    assert [line["batch_size"] for line in record["lines"]] == [1, 2, 1, 2]
    line = record["lines"][0]
    np.testing.assert_allclose(line["exact"], 16 / 27, rtol=1e-9)
    np.testing.assert_allclose(line["converse"], 16 / 27, rtol=1e-9)
    assert np.shape(line["measured"]) == (2, 5)
    by_claim = {v.claim: v for v in verdicts}
    signs = by_claim[
        "the mean square grows exactly above the exact threshold, at every rate"
    ]
    assert signs.word == "shown" and signs.n == 5
    for name in ("growth_with_replacement.png", "plain_runs.png"):
        assert (tmp_path / "new" / name).read_bytes().startswith(b"\x89PNG")
    assert "coherence" in capsys.readouterr().out


@pytest.mark.full
def test_the_network_interpolates_and_its_steps_are_those_of_the_linearised_one():
    with jax.numpy_rank_promotion("allow"):
        problem = problems.network(TINY, IMAGES, LABELS)
    values = problem.hessians.eigenvalues
    assert values.size == 30
    rate = float(0.5 / values[0])
    full = problem.step(rate, jnp.asarray(3.0), "without_replacement")
    step = jax.jit(lambda w: full(jax.random.key(1), w))
    direction = problem.draw(jax.random.key(0))
    norms = []
    for _ in range(40):
        moved = step(direction)
        norms.append(float(jnp.linalg.norm(moved) / jnp.linalg.norm(direction)))
        direction = moved / jnp.linalg.norm(moved)
    # The full batch is deterministic: the slowest direction of the range is left.
    assert 1 - rate * values[0] < norms[0] < norms[-1] <= 1 - rate * values[-1] + 1e-4


@pytest.mark.full
def test_a_network_that_cannot_fit_is_refused():
    narrow = dataclasses.replace(TINY, network_width=1, network_examples=5)
    with (
        jax.numpy_rank_promotion("allow"),
        pytest.raises(InputError, match="leaves a residual of"),
    ):
        problems.network(narrow, IMAGES, LABELS)


def line(measured, **changes):
    base = measure.Line(
        problem="p",
        sampling="bernoulli",
        batch_size=1,
        examples=2,
        sigma_per_sample=1.0,
        exact=1.0,
        coherence=1.3,
        max_sample=1.2,
        converse=0.9,
        gradient_descent=2.0,
        rates=np.array([0.9, 1.1]),
        predicted=np.array([-0.1, 0.1]),
        measured=np.array(measured),
    )
    return base._replace(**changes)


def verdicts(lines):
    return judge(claims.claims(measure.Measured(lines, None), TINY))


RIGHT = [[-0.1, -0.11, -0.09, -0.1, -0.1], [0.1, 0.11, 0.09, 0.1, 0.1]]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ["shown"] * 4 + ["undecided"]),
        (
            {"measured": -np.array(RIGHT)},
            ["contradicted", "contradicted", "shown", "shown"],
        ),
        (
            {"measured": np.array([RIGHT[0], [-1.0, 0.1, 1.0, -0.5, 0.9]])},
            ["undecided", "undecided", "shown", "shown"],
        ),
        ({"coherence": 1.1}, ["shown", "shown", "contradicted", "shown"]),
        ({"converse": 1.1}, ["shown", "shown", "shown", "contradicted"]),
        ({"max_sample": 0.9}, ["shown", "shown", "contradicted", "shown"]),
    ],
)
def test_verdicts(changes, words):
    found = verdicts([line(RIGHT)._replace(**changes)])
    assert [v.word for v in found][: len(words)] == words


def test_the_measured_threshold_is_interpolated():
    one, two = line(RIGHT), line(RIGHT, rates=np.array([0.5, 0.6]), batch_size=2)
    growth = np.mean(RIGHT, axis=1)
    np.testing.assert_allclose(measure.crossing(one.rates, growth), 1.0)
    assert np.isnan(measure.crossing(one.rates, -growth))
    assert verdicts([one, two])[-1].word == "contradicted"
    assert verdicts([two, one])[-1].word == "shown"


@pytest.mark.parametrize(("seen", "word"), [(9.0, "shown"), (-3.0, "contradicted")])
def test_plain_verdict(seen, word):
    runs = PlainRuns(jnp.zeros((10, 4)), jnp.full(10, seen), jnp.asarray(0.25))
    (found,) = judge([claims.plain_claim(measure.Plain("p", runs, 1.0), TINY)])
    assert found.word == word and "25 % of the runs" in found.measured


def test_groups_that_do_not_divide_are_refused():
    with pytest.raises(InputError, match="3 groups do not divide 8 examples"):
        problems.groups(dataclasses.replace(TINY, groups=(8, 3, 1.0)))
