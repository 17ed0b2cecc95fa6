"""Merging of experts against recorded values, and its exact properties."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support.layer_vectors import load

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.quantize import (
    ExpertGroups,
    RouterStatistics,
    align_experts,
    group_experts,
    merge_experts,
    permute_experts,
    router_statistics,
)


@pytest.mark.parametrize("case", ["case1", "case2"])
def test_recorded_merging(case):
    meta, arrays = load("mcsmoe", case)
    # Recorded with the outputs of a matrix first.
    experts = {n: np.swapaxes(arrays[f"init/{n}"], 1, 2) for n in ("wi", "wo")}
    stats = jax.jit(router_statistics)(arrays["batch/0/router_logits"])
    np.testing.assert_array_equal(stats.usage, arrays["out/usage"])
    np.testing.assert_allclose(stats.similarity, arrays["out/similarity"], atol=1e-12)
    (groups,) = group_experts([stats], meta["groups"])
    np.testing.assert_array_equal(groups.core, arrays["out/core"])
    np.testing.assert_array_equal(groups.labels, arrays["out/labels"])
    orders = align_experts(experts["wi"], experts["wo"])
    np.testing.assert_array_equal(orders[1:], arrays["out/perms_1_to_n"])
    merge = lambda e, u: merge_experts(permute_experts(e, orders), groups, u)
    merged = merge({n: jnp.asarray(w) for n, w in experts.items()}, stats.usage)
    for name, w in merged.items():
        want = np.swapaxes(arrays[f"out/merged_{name}"], 1, 2)
        np.testing.assert_allclose(w, want, rtol=1e-12, atol=1e-14)


def test_shuffled_copies_of_one_expert_merge_into_it():
    rng = np.random.default_rng(0)
    wi, wo = rng.normal(size=(3, 5)), rng.normal(size=(5, 2))
    shuffles = [np.arange(5), *(rng.permutation(5) for _ in range(3))]
    experts = {
        "wi": jnp.stack([wi[:, s] for s in shuffles]),
        "wo": jnp.stack([wo[s] for s in shuffles]),
    }
    orders = align_experts(experts["wi"], experts["wo"])
    groups = ExpertGroups(np.array([2]), np.zeros(4, int))
    usage = np.array([0.1, 0.2, 0.4, 0.3])
    merged = merge_experts(permute_experts(experts, orders), groups, usage, eps=0)
    np.testing.assert_allclose(merged["wi"][0], wi, rtol=1e-12)
    np.testing.assert_allclose(merged["wo"][0], wo, rtol=1e-12)


def test_each_expert_its_own_group_stays():
    experts = jnp.arange(6.0).reshape(3, 2)
    usage = np.array([0.5, 0.0, 0.5])
    (groups,) = group_experts([RouterStatistics(usage, np.full((3, 3), 0.5))], 3)
    merged = merge_experts(experts, groups, usage, eps=0)
    # The expert that no token used keeps its weights too.
    np.testing.assert_array_equal(merged, experts[groups.core])


def test_every_layer_keeps_its_most_used_expert():
    busy = RouterStatistics(np.array([0.3, 0.3, 0.4]), np.eye(3))
    even = RouterStatistics(np.full(5, 0.2), np.eye(5))
    one, two = group_experts([busy, even], 4)
    assert one.core.tolist() == [2, 0, 1] and two.core.tolist() == [0]
    assert one.labels.tolist() == [1, 2, 0] and two.labels.tolist() == [0] * 5


def test_padding_is_no_token():
    logits = np.random.default_rng(1).normal(size=(7, 4))
    where = np.arange(7) < 5
    logits[5:] = np.nan
    run = jax.jit(lambda x, w: router_statistics(x, where=w))
    got = run(logits, where)
    for a, b in zip(got, jax.jit(router_statistics)(logits[:5]), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


NAN = np.full((1, 1, 1), np.nan)
STATS = RouterStatistics(np.array([0.5, 0.5]), np.eye(2))


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: group_experts([STATS], 3), r"must lie in \[1, 2\]"),
        (lambda: group_experts([STATS, STATS], 1), r"must lie in \[2, 4\]"),
        (lambda: group_experts([STATS._replace(usage=np.zeros(2))], 1), "are dead"),
        (lambda: align_experts(np.ones((2, 3, 4)), np.ones((2, 3, 4))), "hidden"),
        (
            lambda: align_experts(np.full((2, 1, 1), np.nan), np.ones((2, 1, 1))),
            "finite",
        ),
        (
            lambda: merge_experts(
                jnp.ones(3), ExpertGroups(np.array([0]), np.zeros(2, int)), np.ones(2)
            ),
            "2 experts",
        ),
        (lambda: router_statistics(jnp.ones(3)), "tokens"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(InputError, match=words) as error:
        call()
    assert "\n" not in str(error.value)
