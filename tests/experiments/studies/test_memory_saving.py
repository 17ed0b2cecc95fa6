"""The study on saved memory at a tiny size, and its text."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.studies.memory_saving import measure
from experiments.studies.memory_saving.__main__ import STUDY
from experiments.studies.memory_saving.config import SIZES

TINY = dataclasses.replace(
    SIZES["quick"], width=4, length=8, batch=2, tokens=4, steps=2, last=1, seeds=5
)


def test_the_text_is_of_the_chain():
    logits = jnp.where(jnp.arange(3)[None, None] == 1, 0.0, -jnp.inf)
    logits = jnp.broadcast_to(logits, (3, 3, 3))
    text = jax.jit(lambda key: measure.draw(key, logits, 2, 5))(jax.random.key(0))
    np.testing.assert_array_equal(text, np.ones((2, 5)))


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        verdicts = STUDY.run(TINY, tmp_path / "new").verdicts
    record = json.loads((tmp_path / "new" / "results.json").read_text())
    losses = record["measured"]["losses"]
    np.testing.assert_allclose(losses["checkpoint"], losses["all"], rtol=1e-5)
    (few,) = [v for v in verdicts if "bytes" in v.claim]
    assert few.word == "shown"
