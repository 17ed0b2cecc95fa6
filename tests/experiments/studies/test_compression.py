"""The study on compression: its sizes, cuts that change nothing, and a tiny run."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.studies.compression import dense_arms, expert_arms, measure, sizes
from experiments.studies.compression.__main__ import STUDY
from experiments.studies.compression.config import SIZES

STANDARD = SIZES["standard"]
TINY = dataclasses.replace(SIZES["quick"], steps=2, tuning=2, batch=4)


def test_all_networks_are_within_the_budgets():
    whole = sizes.dense_weights(STANDARD.width)
    e, h = STANDARD.experts, STANDARD.hidden
    assert 0.98 * whole < sizes.mixture_weights(e, e, h) <= whole
    widths, ranks = sizes.widths(STANDARD), sizes.ranks(STANDARD)
    for i, budget in enumerate(STANDARD.budgets):
        most = budget * whole
        assert sizes.dense_weights(widths[i]) <= most
        assert sizes.dense_weights(widths[i] + 1) > most
        assert sizes.factored_weights(STANDARD.width, ranks[i]) <= most
        rank = sizes.expert_ranks(STANDARD)[i]
        groups = STANDARD.groups[i]
        assert sizes.compressed_weights(STANDARD, groups, rank) <= most


def test_units_in_another_order_are_the_same_function():
    rng = np.random.default_rng(0)
    shapes = {"kernel_0": (64, 5), "kernel_1": (5, 5), "kernel_2": (5, 10)}
    params = {n: jnp.asarray(rng.normal(size=s)) for n, s in shapes.items()}
    with jax.numpy_rank_promotion("allow"):
        moved = dense_arms.by_norm(params)
        x = jnp.asarray(rng.normal(size=(3, 64)))
        one, two = (dense_arms.scores(p, x) for p in (params, moved))
    np.testing.assert_allclose(one, two, rtol=1e-9)
    norms = np.linalg.norm(moved["kernel_0"], axis=0)
    norms = (
        norms
        * np.linalg.norm(params["kernel_1"], axis=1)[
            [
                int(np.argmin(np.abs(np.asarray(params["kernel_0"][0]) - v)))
                for v in np.asarray(moved["kernel_0"][0])
            ]
        ]
    )
    assert np.all(np.diff(norms) <= 1e-12)


@pytest.mark.full
def test_experts_that_are_off_get_no_token():
    rng = np.random.default_rng(1)
    e, h = TINY.experts, TINY.hidden
    moe = {
        "router": jnp.asarray(rng.normal(size=(64, e))),
        "wi": jnp.asarray(rng.normal(size=(e, 64, h))),
        "wo": jnp.asarray(rng.normal(size=(e, h, 64))),
    }
    params = {"moe": moe, "head": jnp.asarray(rng.normal(size=(64, 10)))}
    x = jnp.asarray(rng.normal(size=(6, 64)))
    off = jnp.where(jnp.arange(e) == 2, 0.0, expert_arms._OFF)
    with jax.numpy_rank_promotion("allow"):
        none = expert_arms.scores(TINY, {**params, "bias": jnp.zeros(e)}, x)
        plain = expert_arms.scores(TINY, params, x)
        one = expert_arms.scores(TINY, {**params, "bias": off}, x)
    np.testing.assert_allclose(none, plain, rtol=1e-6)
    y = np.maximum(x @ moe["wi"][2], 0) @ moe["wo"][2]
    want = np.maximum(x + y, 0) @ params["head"]
    np.testing.assert_allclose(one, want, rtol=1e-6)


@pytest.mark.full
def test_runs_and_leaves_its_files(tmp_path):
    with jax.enable_x64(False), jax.numpy_rank_promotion("allow"):
        STUDY.run(TINY, tmp_path / "new", quick=True)
    record = json.loads((tmp_path / "new" / "results.json").read_text())["measured"]
    assert list(record["accuracy"]) == list(measure.METHODS)
    for values in record["accuracy"].values():
        assert np.shape(values) == (len(TINY.budgets), 2)
    assert (tmp_path / "new" / "accuracy.png").read_bytes().startswith(b"\x89PNG")
