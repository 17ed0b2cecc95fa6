"""Ranks, pairs and the page of a comparison, from records that are made up."""

import json

import numpy as np
import pytest

from jaxopt_lab.lab import methods
from jaxopt_lab.lab.comparison import figures, page
from jaxopt_lab.lab.comparison.results import ranked, results, shown
from jaxopt_lab.lab.comparison.trainings import Trained
from jaxopt_lab.lab.paired_tests import all_pairs
from jaxopt_lab.plotting.style import looks

SEEDS = np.array([0.0, 0.01, -0.02, 0.02, 0.005])
NOISE = np.array([1.0, -1.0, 2.0, -2.0, 0.5]) * 1e-3
ABOUT = {
    "task": "digits",
    "varied": "method",
    "model": ["mlp"],
    "budget": "gradients:8",
    "seeds": [0, 1, 2, 3, 4],
    "noise": [0.1],
    "sharpness_examples": 8,
    "trials": 0,
}


def run(label, scores, score="accuracy", examples=(), skipped=(0,)):
    scores = [float(x) if np.isfinite(x) else None for x in scores]
    record = {
        "score": score,
        "scores": scores,
        "curve": [
            {"step": n, "gradients": 2 * n, "examples": 8 * n, "scores": scores}
            for n in (2, 4)
        ],
        "skipped": list(skipped),
        "parameters": 10,
        "state_bytes_per_parameter": 4.0,
        "examples": list(examples),
        "sharpness": [1.0 + i for i in range(len(scores))],
        "noise": [scores],
    }
    times = {"step_seconds": 0.01, "compile_seconds": 1.0, "device": "cpu"}
    return Trained(label, {"method": label, "model": "mlp"}, record, times)


@pytest.fixture(scope="module")
def made():
    rng = np.random.default_rng(0)
    right = rng.uniform(size=200) < 0.9
    runs = [
        run("sgd", 0.8 + SEEDS, examples=right.astype(float)),
        run("adam", 0.9 + SEEDS + NOISE, examples=np.maximum(right, 0.5)),
        run("sam", 0.9 + SEEDS + 2 * NOISE[::-1], examples=np.ones(5), skipped=[3]),
    ]
    return results(ABOUT, runs), {r.label: r.times for r in runs}


def test_methods_are_ranked_and_pairs_decided(made):
    found, _ = made
    assert {m["label"]: m["rank"] for m in found["methods"]}["sgd"] == 3
    assert ranked(found)[-1]["label"] == "sgd" and found["higher_is_better"]
    assert sum(m["mean_rank"] for m in found["methods"]) == pytest.approx(6)
    better = {(p["first"], p["second"]): p["better"] for p in found["pairs"]}
    assert better == {
        ("sgd", "adam"): "adam",
        ("sgd", "sam"): "sam",
        ("adam", "sam"): None,
    }
    assert shown(found, "sgd") == ([], ["adam", "sam"])
    assert shown(found, "sam") == (["sgd"], [])
    first = found["pairs"][0]
    low, high = first["interval"]
    assert low < first["difference"] < high < 0
    json.dumps(found, allow_nan=False)


def test_a_bootstrap_is_over_a_hundred_test_examples_or_none(made):
    found, _ = made
    intervals = {m["label"]: m["examples_interval"] for m in found["methods"]}
    assert intervals["sam"] is None  # five examples
    low, high = intervals["sgd"]
    mean = (np.random.default_rng(0).uniform(size=200) < 0.9).mean()
    assert low < mean < high
    of_pairs = [p["examples_interval"] for p in found["pairs"]]
    assert of_pairs[0][1] <= 0 and of_pairs[1] is None


def test_of_a_loss_the_smaller_is_better():
    runs = [run("a", 0.5 + SEEDS, "loss"), run("b", 0.9 + SEEDS + NOISE, "loss")]
    found = results(ABOUT, runs)
    (pair,) = found["pairs"]
    assert pair["better"] == "a" and pair["difference"] == pytest.approx(-0.4, abs=0.01)
    assert ranked(found)[0]["label"] == "a" and not found["higher_is_better"]
    assert figures.scale_of(found) == (1.0, "test loss (nats)")


def test_a_score_that_is_not_finite_is_last_and_undecided():
    broken = 0.9 + SEEDS
    broken[1] = np.nan
    runs = [run("a", broken), run("b", 0.8 + SEEDS), run("c", 0.5 + SEEDS + NOISE)]
    found = results(ABOUT, runs)
    assert [m["label"] for m in ranked(found)] == ["b", "c", "a"]
    assert [p["better"] for p in found["pairs"]] == [None, None, "b"]
    assert page.ranks(found)[-1][2] == "not finite"


def test_the_page_says_what_is_shown_and_what_could_have_been(made, tmp_path):
    found, times = made
    texts = page.conclusions(found)
    assert "adam is better than sgd." in texts and "sam is better than sgd." in texts
    assert any(
        text.startswith("Undecided pairs: 1 of 3. The smallest") for text in texts
    )
    assert any("not tuned" in text for text in texts)
    assert "sam: the loss was not finite in 3 steps, which were skipped." in texts
    few = {**found, "about": {**ABOUT, "seeds": [0]}}
    assert page.conclusions(few)[0].startswith("One seed: there is no interval")
    text = page.write(tmp_path, found, times, "again & again").read_text()
    assert text.count("data:image/svg") == 4 and "again &amp; again" in text
    assert "-10.01 (" in text  # points, not shares


def test_every_figure_has_the_same_looks(made):
    drawn = figures.figures(*made)
    assert list(drawn) == ["curves", "end points", "sharpness", "noise"]
    lines = drawn["curves"].axes[0].lines
    colors = {line.get_label(): line.get_color() for line in lines}
    rows = drawn["end points"].axes[0]
    names = [label.get_text() for label in rows.get_yticklabels()]
    marks = [line for line in rows.lines if line.get_marker() not in (".", "None")]
    assert {n: m.get_color() for n, m in zip(names, marks, strict=True)} == colors


def test_no_two_methods_of_the_catalog_look_alike():
    # One that does belongs to the end of plotting.method_order.
    names = methods.names()
    found = looks(names, names)
    assert len(set(found.values())) == len(names)
    assert looks(["sam"]) == {"sam": found["sam"]}


def test_the_rule_is_that_of_all_verdicts(made):
    found, _ = made
    scores = np.array([m["scores"] for m in found["methods"]])
    rule = all_pairs(scores)
    assert [p["better"] is not None for p in found["pairs"]] == rule.different.tolist()
    np.testing.assert_allclose([p["p"] for p in found["pairs"]], rule.p)
    np.testing.assert_allclose([p["smallest"] for p in found["pairs"]], rule.smallest)
