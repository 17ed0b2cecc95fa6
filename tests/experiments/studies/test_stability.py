"""The experiment on thresholds of SGD, at a tiny size."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.studies.stability import __main__ as command
from experiments.studies.stability import claims, measure, problems
from experiments.studies.stability.config import CONFIGS
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.curvature.stability.simulator import PlainRuns

TINY = dataclasses.replace(
    CONFIGS["quick"],
    factors=(0.9, 1.1),
    samplings=("bernoulli", "with_replacement"),
    runs=300,
    steps=60,
    repetitions=3,
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
    verdicts = command.run(TINY, tmp_path / "new", ("groups",))
    record = json.loads((tmp_path / "new" / "results.json").read_text())
    assert [line["batch_size"] for line in record["lines"]] == [1, 2, 1, 2]
    line = record["lines"][0]
    np.testing.assert_allclose(line["exact"], 16 / 27, rtol=1e-9)
    np.testing.assert_allclose(line["converse"], 16 / 27, rtol=1e-9)
    assert np.shape(line["measured"]) == (2, 3)
    by_claim = {v.claim: v for v in verdicts}
    signs = by_claim["the mean square grows exactly above the exact threshold"]
    assert signs.word == "holds" and "8 right" in signs.measured
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


RIGHT = [[-0.1, -0.11, -0.09], [0.1, 0.11, 0.09]]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ["holds"] * 5),
        ({"measured": -np.array(RIGHT)}, ["does not", "does not", "holds", "holds"]),
        (
            {"measured": np.array([RIGHT[0], [-1.0, 0.1, 1.0]])},
            ["undecided", "does not", "holds", "holds"],
        ),
        ({"coherence": 1.1}, ["holds", "holds", "does not", "holds"]),
        ({"converse": 1.1}, ["holds", "holds", "holds", "does not"]),
        ({"max_sample": 0.9}, ["holds", "holds", "does not", "holds"]),
    ],
)
def test_verdicts(changes, words):
    found = claims.verdicts([line(RIGHT)._replace(**changes)], TINY)
    assert [v.word for v in found][: len(words)] == words


def test_the_measured_threshold_is_interpolated():
    one, two = line(RIGHT), line(RIGHT, rates=np.array([0.5, 0.6]), batch_size=2)
    np.testing.assert_allclose(measure.crossing(one), 1.0)
    assert np.isnan(measure.crossing(line(-np.array(RIGHT))))
    assert claims.verdicts([one, two], TINY)[-1].word == "does not"
    assert claims.verdicts([two, one], TINY)[-1].word == "holds"


@pytest.mark.parametrize(("seen", "word"), [(9.0, "holds"), (-3.0, "does not")])
def test_plain_verdict(seen, word):
    runs = PlainRuns(jnp.zeros((10, 4)), jnp.full(10, seen), jnp.asarray(0.25))
    found = claims.plain_verdict(runs, 1.0, "p", TINY)
    assert found.word == word and "25 % of the runs" in found.measured


def test_groups_that_do_not_divide_are_refused():
    with pytest.raises(InputError, match="3 groups do not divide 8 examples"):
        problems.groups(dataclasses.replace(TINY, groups=(8, 3, 1.0)))


def test_bad_words_are_refused(capsys):
    assert command.main(["huge"]) == 2
    assert command.main(["quick", "where=here"]) == 2
    assert "accepted: out" in capsys.readouterr().err
    assert command.main(["--help"]) == 0
    assert "usage: python -m experiments.studies.stability" in capsys.readouterr().out
