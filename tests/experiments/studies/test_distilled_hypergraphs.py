"""The study on distilled hypergraphs: a tiny run."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from experiments.studies.distilled_hypergraphs.__main__ import STUDY
from experiments.studies.distilled_hypergraphs.config import SIZES

TINY = dataclasses.replace(SIZES["quick"], seeds=5, steps=2)


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        STUDY.run(TINY, tmp_path / "new")
    record = json.loads((tmp_path / "new" / "results.json").read_text())
    accuracy = record["measured"]["accuracy"]
    assert np.shape(accuracy["LightHGNN+"]) == (5,)
    # Labels and digits are those of the seed.
    assert len(set(accuracy["teacher"])) > 1
    operations = record["measured"]["operations"]
    assert operations["teacher"] > operations["student"] / 4 > 0
    assert (tmp_path / "new" / "accuracy.png").read_bytes().startswith(b"\x89PNG")
