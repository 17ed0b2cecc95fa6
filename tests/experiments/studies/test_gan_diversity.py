"""The study on the diversity of generators: its sets, its counts, its claims."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from experiments.studies.gan_diversity.__main__ import STUDY
from experiments.studies.gan_diversity.claims import claims
from experiments.studies.gan_diversity.config import SIZES
from experiments.studies.gan_diversity.measure import Measured, families
from experiments.studies.gan_diversity.sets import centers, covered, points

TINY = dataclasses.replace(SIZES["quick"], width=4, steps=2, batch=10, points=10)


def test_modes_are_covered_by_samples_near_them():
    config = SIZES["standard"]
    for where in centers(config).values():
        count, share = covered(points(1, where, 4000, config), where, config)
        assert count == len(where) and share > 0.97
        half = where[: len(where) // 2]
        count, share = covered(points(1, half, 4000, config), where, config)
        assert count == len(half) and share > 0.97
        assert covered(np.full((50, 2), 9.0), where, config) == (0, 0.0)
        # One sample of many covers nothing.
        alone = np.concatenate([np.tile(where[:1], (999, 1)), where[1:2]])
        assert covered(alone, where, config)[0] == 1


def test_claims_compare_the_arms_by_name():
    config = SIZES["standard"]
    names = [n for family in families(config) for n in family.names()]
    assert len(set(names)) == len(names) == 7
    numbers = {name: np.full(5, float(i)) for i, name in enumerate(names)}
    found = claims(Measured({"ring": numbers}, {}), config)
    gains = [np.mean(np.asarray(c.values, float)) for c in found]
    assert gains == [3, 1, 6, 1]


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        STUDY.run(TINY, tmp_path / "new", quick=True)
    record = json.loads((tmp_path / "new" / "results.json").read_text())
    assert set(record["measured"]["modes"]) == {"ring", "grid"}
    assert len(record["measured"]["modes"]["ring"]) == 7
