"""The study on unlearning: its sets, its datamodel, its scores."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from experiments.studies.unlearning.__main__ import STUDY
from experiments.studies.unlearning.claims import claims, panels
from experiments.studies.unlearning.config import SIZES
from experiments.studies.unlearning.measure import METHODS, PLACES, Measured, chosen

TINY = dataclasses.replace(SIZES["quick"], seeds=2, steps=2, models=2, moves=1)


def test_sets_forget_one_class_and_keep_apart():
    labels = np.arange(200) % 10
    config = SIZES["standard"]
    places = chosen(labels, config)
    for seed, (forget, matched, retain) in enumerate(zip(*places, strict=True)):
        assert set(labels[forget]) == {seed % 10} and len(forget) == config.forget
        assert len({*forget, *matched, *retain}) == config.forget + 40 + 50


def test_the_rate_is_that_of_the_forget_sets_first_half():
    config = dataclasses.replace(SIZES["standard"], rates=(1e-3, 3e-3, 1e-2))
    one = lambda *levels: np.repeat(np.array(levels)[:, None], 10, axis=1)
    values = {name: one(4.0) for name in METHODS}
    values["oracle matching"] = one(3.0, 1.0, 2.0)
    values["fine-tuning"] = one(3.0, 2.5, 2.0)
    # The last sets of the best rate are worse: they are judged.
    values["oracle matching"][1, 5:] = 1.5
    measured = Measured(dict.fromkeys(PLACES, values), 1e-3, 0.5)
    scores = panels(measured, config)["retain"]
    assert scores["oracle matching"].rate == config.rates[1]
    assert scores["fine-tuning"].at_the_edge and not scores["none"].at_the_edge
    gains = [np.mean(np.asarray(c.values, float)) for c in claims(measured, config)]
    np.testing.assert_allclose(gains, [0.5, 2.5, -2.0, 0.5, 0.5])


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        STUDY.run(TINY, tmp_path / "new", quick=True)
    record = json.loads((tmp_path / "new" / "results.json").read_text())
    assert set(record["measured"]["klom"]) == set(PLACES)
    assert np.all(np.isfinite(record["measured"]["klom"]["test"]["dm-direct"]))
