"""Neural ranking: lists and nets of equal size, and the smoke test."""

import dataclasses

import jax
import numpy as np
import pytest

from experiments.applications.neural_ranking.__main__ import APPLICATION
from experiments.applications.neural_ranking.lists import (
    CONFUSABLE,
    Config,
    draw_lists,
)
from experiments.applications.neural_ranking.measure import NETS, init

TINY = Config(seeds=1, lists=12)


@pytest.mark.full
def test_smoke(smoke):
    tiny = {"steps": 3, "lists": 8, "batch": 4, "losses": ("squared error", "ListNet")}
    record = smoke(
        APPLICATION, dataclasses.replace(APPLICATION.sizes["quick"], seeds=1, **tiny)
    )
    nets = record["measured"]["passages"]
    assert set(nets) == set(NETS)
    assert all(0 <= nets[net]["ListNet"]["ndcg"][0] <= 1 for net in NETS)


@pytest.mark.parametrize("own", [False, True])
def test_candidates_have_their_relevance_and_parts_share_no_item(own):
    draw = np.random.default_rng(0)
    group = np.repeat(np.arange(40 if own else 10), 8 if own else 40)
    chosen, labels = draw_lists(draw, group, own, TINY)
    query, candidates = group[chosen[:, :, 0]], group[chosen[:, :, 1:]]
    assert chosen.shape == (3, 12, 11) and labels.shape == (3, 12, 10)
    if own:
        assert np.all((chosen[:, :, 1:] == chosen[:, :, :1]) == (labels == 2))
        assert np.all((candidates == query[..., None]) == (labels > 0))
    else:
        assert np.all((candidates == query[..., None]) == (labels == 2))
        near = np.array(CONFUSABLE)[query][..., None]
        assert np.all((candidates == near) == (labels == 1))
    items = [set((group if own else np.arange(400))[part].ravel()) for part in chosen]
    assert not items[0] & items[1] and not items[0] & items[2]
    assert not items[1] & items[2]


@pytest.mark.parametrize("features", [8, 32])
def test_nets_are_of_equal_size(features):
    draw = np.random.default_rng(0)
    sizes = [
        sum(x.size for x in jax.tree.leaves(init(net, draw, features, TINY)))
        for net in NETS
    ]
    assert abs(sizes[0] - sizes[1]) < 67
