"""The study on the search of layers: known layers as genomes, and a tiny run."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from experiments.studies.layer_search import claims, measure, training
from experiments.studies.layer_search.__main__ import STUDY
from experiments.studies.layer_search.config import SIZES
from jaxopt_lab.search import genome_of

TINY = dataclasses.replace(SIZES["quick"], budget=3, population=2, first=2, rest=2)


def test_known_layers_are_genomes_of_the_size_of_the_study():
    for genome in measure.KNOWN.values():
        assert genome.shape == (SIZES["standard"].nodes, 3)
    assert claims.written(measure.KNOWN["GN-ReLU"].tolist()).endswith("max(4, zero)")


def test_a_layer_that_does_not_read_its_input_costs_no_step():
    trainer = training.Trainer(training.Held(np.ones((4, 64)), np.arange(4)), TINY)
    found = trainer.train(genome_of(("add", "v0", "v1")), 0, trainer._train)
    assert found == (0.0, 0)


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        STUDY.run(TINY, tmp_path / "new", quick=True)
    record = json.loads((tmp_path / "new" / "results.json").read_text())["measured"]
    assert set(record["test"]) == {*measure.SEARCHES, *measure.KNOWN}
    assert np.shape(record["genome"]["evolution"]) == (1, 6, 3)
    assert 0 <= record["steps"]["random search"][0] <= 1
