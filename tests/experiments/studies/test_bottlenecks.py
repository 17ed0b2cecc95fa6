"""The study on hourglass perceptrons at a tiny size, and its networks."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from experiments.studies.bottlenecks import measure
from experiments.studies.bottlenecks.__main__ import STUDY
from experiments.studies.bottlenecks.config import SIZES
from jaxopt_lab.layers import hourglass_size

TINY = dataclasses.replace(SIZES["quick"], train=8, validation=4, batch=2, steps=1)


def test_networks_of_a_budget_fit_it():
    config = SIZES["standard"]
    for budget in config.budgets:
        for arm in measure.ARMS:
            found = measure.shapes(config, budget, arm, 64)
            assert found
            for skip, bottleneck, depth, lift in found:
                used, more = (
                    hourglass_size(64, skip=skip, bottleneck=n, depth=depth, lift=lift)
                    for n in (bottleneck, bottleneck + 1)
                )
                assert used.trained <= budget < more.trained
                assert (skip == 64) == (arm == "conventional")


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        STUDY.run(TINY, tmp_path / "new", quick=True)
    record = json.loads((tmp_path / "new" / "results.json").read_text())
    errors = record["measured"]["errors"]["17000"]
    assert set(errors) == set(measure.ARMS)
    assert np.all(np.isfinite(list(errors.values())))
