"""The study on merging: the range of its coefficient, and a tiny run."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.studies.merging import claims
from experiments.studies.merging.__main__ import STUDY
from experiments.studies.merging.config import SIZES
from jaxopt_lab.inference import t3_coefficient

TINY = dataclasses.replace(SIZES["quick"], hidden=4, batch=4, steps=2, tuning=2)


def test_the_coefficient_is_in_its_range():
    ends = np.asarray(t3_coefficient(jnp.array([0.0, np.log(2)])))
    np.testing.assert_allclose(ends, [claims.LOW, claims.HIGH], rtol=1e-6)


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        STUDY.run(TINY, tmp_path / "new", quick=True)
    record = json.loads((tmp_path / "new" / "results.json").read_text())["measured"]
    assert set(record["upright"]) == set(record["turned"])
    assert np.all(np.isfinite(list(record["upright"].values())))
    assert np.shape(record["coefficients"]) == (2, 2)
