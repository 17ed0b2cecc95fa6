"""The study on network-to-network compression: its masks, and a tiny run."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from experiments.studies.network_compression import masked, measure
from experiments.studies.network_compression.__main__ import STUDY
from experiments.studies.network_compression.config import SIZES
from jaxopt_lab.search import ConvSpec, conv_chain

TINY = dataclasses.replace(SIZES["quick"], seeds=5, steps=1, long=2)


def kept(params, specs, places):
    """The weights of a table as those of ``conv_chain``."""
    found, before = {}, 1
    for i, spec in enumerate(specs):
        place = places[i]
        first = 0 if i == 0 else 1 - (spec.kernel - 1) // 2
        own = slice(first, first + spec.kernel)
        kernel = params["kernels"][place]
        kernel = kernel.reshape(3, 3, *kernel.shape[1:])
        found[f"conv_{i}"] = {
            "kernel": kernel[own, own, :before, : spec.outputs],
            "bias": params["biases"][place][: spec.outputs],
        }
        before = spec.outputs
    head = {"kernel": params["head"][:before], "bias": params["head_bias"]}
    return {**found, "head": head}


@pytest.mark.parametrize("sizes", [(3, 2, 1), (2, 3), (1,)])
def test_the_masked_network_is_that_of_the_table(sizes):
    specs = [ConvSpec(k, 1 + k, 2 if i == 0 else 1) for i, k in enumerate(sizes)]
    rng = np.random.default_rng(0)
    places = range(len(specs)) if len(specs) == 3 else (0, 2)[: len(specs)]
    chain = masked.as_chain(specs, places, 3)
    with jax.numpy_rank_promotion("allow"):
        shapes = masked.initial(0, [ConvSpec(3, 4)] * 3, 4)
        params = jax.tree.map(lambda a: rng.normal(size=a.shape), shapes)
        x = rng.normal(size=(2, 64))
        found = masked.outputs(params, chain, x)
    net = conv_chain(specs, 1, 10)
    want = net.apply(
        kept(params, specs, places), {}, x.reshape(2, 8, 8, 1), train=True
    )[0]
    np.testing.assert_allclose(found, want, rtol=1e-9, atol=1e-9)


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        STUDY.run(TINY, tmp_path / "new")
    record = json.loads((tmp_path / "new" / "results.json").read_text())
    measured = record["measured"]
    for arms in measured["reward"].values():
        assert np.shape(arms["policy"]) == np.shape(arms["random"]) == (5, 3)
    assert set(measured["transfer"]) == set(measure.TRANSFERS)
    assert min(measured["ratio"]["policy"]) >= 1
    # One of students, one of long runs.
    assert measured["compilations"] == 2
    for name in ("rewards", "transfer"):
        head = (tmp_path / "new" / f"{name}.png").read_bytes()
        assert head.startswith(b"\x89PNG")
