"""The study on scale-invariant weights: its network, and a tiny run."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from experiments.studies.scale_invariance import measure
from experiments.studies.scale_invariance.__main__ import STUDY
from experiments.studies.scale_invariance.config import SIZES

TINY = dataclasses.replace(SIZES["quick"], width=4, steps=4, every=2, seeds=5)


def test_the_loss_knows_no_length_of_the_normalized_layers():
    rng = np.random.default_rng(0)
    sizes = {"first": (64, 8), "second": (8, 8), "last": (8, 10)}
    params = {name: rng.normal(size=size) for name, size in sizes.items()}
    longer = {**params, "first": 3 * params["first"], "second": 7 * params["second"]}
    run = jax.jit(measure.logits)
    x = rng.normal(size=(5, 64))
    np.testing.assert_allclose(run(longer, x), run(params, x), rtol=1e-6)


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        verdicts = STUDY.run(TINY, tmp_path / "new").verdicts
    record = json.loads((tmp_path / "new" / "results.json").read_text())
    assert np.shape(record["measured"]["norms"]["adamp"]) == (5, 2)
    by_claim = {(v.where, v.claim): v for v in verdicts}
    held = by_claim["adam, norms held", "held norms stay"]
    assert held.word == "shown"
    assert (tmp_path / "new" / "norms.png").read_bytes().startswith(b"\x89PNG")
