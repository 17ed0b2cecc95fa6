"""The study on adapters: its numbers of parameters, and a tiny run."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from experiments.studies.adapters import measure, networks
from experiments.studies.adapters.__main__ import STUDY
from experiments.studies.adapters.config import SIZES
from experiments.studies.programs import Labelled

TINY = dataclasses.replace(
    SIZES["quick"], width=4, steps=2, batch=4, features=4, bottlenecks=(2,)
)


def test_arms_have_equal_numbers_of_parameters():
    sizes = {n: a.size for n, a in networks.arms(SIZES["standard"]).items()}
    assert sizes.pop("probe") == 650
    # Five times as many.
    assert sizes.pop("dense 12") == 3224
    assert sizes == {"dense 2": 644, "kernel 2 x 65": 644, "kernel 3 x 22": 644}


def test_a_quarter_turn_keeps_an_image():
    image = np.arange(64.0).reshape(1, 8, 8)
    data = Labelled(image.reshape(1, 64), np.zeros(1))
    found = np.asarray(measure.turned(data).inputs).reshape(8, 8)
    assert [found[-1, 0], found[0, 0]] == [image[0, 0, 0], image[0, 0, -1]]


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        STUDY.run(TINY, tmp_path / "new", quick=True)
    record = json.loads((tmp_path / "new" / "results.json").read_text())["measured"]
    assert set(record["adapted"]) == set(networks.arms(TINY))
    for values in record["adapted"].values():
        assert np.shape(values) == (1, 2) and np.all(np.isfinite(values))
