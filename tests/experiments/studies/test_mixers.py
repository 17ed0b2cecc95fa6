"""The study on mixers: sizes of its networks, its loss, and a tiny run."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.studies.mixers import measure, network
from experiments.studies.mixers.__main__ import STUDY
from experiments.studies.mixers.config import SIZES

TINY = dataclasses.replace(SIZES["quick"], width=4, head_dim=4, steps=2, hidden=2)


def test_networks_have_equal_sizes_but_for_a_unit():
    config = SIZES["standard"]
    shapes = lambda arm: jax.eval_shape(
        lambda key: network.init(key, config, arm), jax.random.key(0)
    )
    sizes = [network.size(shapes(arm)) for arm in config.arms]
    assert max(sizes) - min(sizes) < 2 * config.width * config.depth
    assert min(network.hidden(config, arm) for arm in config.arms) == config.hidden


def test_masked_tokens_count_alone():
    scores = jnp.log(jnp.array([[[0.5, 0.5], [0.9, 0.1], [0.2, 0.8]]]))
    text, masked = jnp.array([[0, 1, 1]]), jnp.array([[True, False, True]])
    found = float(measure.masked_loss(scores, text, masked))
    assert found == pytest.approx(-(np.log(0.5) + np.log(0.8)) / 2, rel=1e-6)
    assert float(measure.masked_loss(scores, text, masked & False)) == 0


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        STUDY.run(TINY, tmp_path / "new", quick=True)
    record = json.loads((tmp_path / "new" / "results.json").read_text())["measured"]
    assert set(record["losses"]) == {"quasiseparable", "forward"}
    assert np.all(np.isfinite(list(record["losses"].values())))
