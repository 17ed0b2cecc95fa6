"""The study on searches from a grammar: its start, and a tiny run."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from experiments.studies.grammar_search import measure, training
from experiments.studies.grammar_search.__main__ import STUDY
from experiments.studies.grammar_search.config import GRAMMAR, SIZES
from jaxopt_lab.search import (
    count_parameters,
    einspace_network,
    infer_shape,
    sample_architecture,
)

TINY = dataclasses.replace(SIZES["quick"], seeds=5, budget=2, population=1, steps=1)


def test_the_start_is_a_small_residual_network():
    node = training.residual_network()
    assert infer_shape(node, training.SHAPE) == (4, 4, 16)
    convolutions = 9 * 16 + 16 + 2 * (9 * 16 * 16 + 16)
    assert count_parameters(node, training.SHAPE) == convolutions + 3 * 32


def test_parameters_on_the_host_are_those_of_the_network():
    for i in range(20):
        node = sample_architecture(jax.random.key(i), training.SHAPE, grammar=GRAMMAR)
        assert count_parameters(node, training.SHAPE) < 50_000
        net = einspace_network(node, training.SHAPE, 10)
        shapes, _ = jax.eval_shape(net.init, jax.random.key(0))
        params = training.drawn(shapes, 0)
        assert jax.tree.map(np.shape, params) == jax.tree.map(lambda a: a.shape, shapes)
        head = params["head"]["kernel"]
        np.testing.assert_allclose(np.std(head) * len(head) ** 0.5, 1, atol=0.3)


def test_scratch_and_random_begin_alike():
    found = measure.searches(SIZES["standard"])
    key = jax.random.key(0)
    first, last = (found[n].ask(found[n].init(), key) for n in ("scratch", "random"))
    assert first == last != found["seeded"].ask(found["seeded"].init(), key)


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        STUDY.run(TINY, tmp_path / "new")
    record = json.loads((tmp_path / "new" / "results.json").read_text())
    measured = record["measured"]
    assert set(measured["test"]) == {*measure.SEARCHES, measure.START}
    for curve in measured["curve"].values():
        assert np.shape(curve) == (5, 2) and np.all(np.diff(curve) >= 0)
    # The start, two draws, and a child of each evolution.
    assert max(measured["compilations"]) <= 5
    for name in ("test", "curves"):
        head = (tmp_path / "new" / f"{name}.png").read_bytes()
        assert head.startswith(b"\x89PNG")
