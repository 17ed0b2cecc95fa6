"""Text mixtures: planted copies, scores of pairs, and the smoke test."""

import dataclasses

import numpy as np
import pytest

from experiments.applications.text_mixtures.__main__ import APPLICATION
from experiments.applications.text_mixtures.documents import (
    SIZE,
    Config,
    edited,
    pair_scores,
    planted,
)
from jaxopt_lab.core.errors import InputError

TINY = Config(seeds=1, modules=8, documents=3, originals=2, copies=4)


@pytest.mark.full
def test_smoke(smoke):
    tiny = {"steps": 2, "modules": 8, "test": 4, "width": 8, "context": 16}
    settings = dataclasses.replace(APPLICATION.sizes["quick"], seeds=1, **tiny)
    record = smoke(APPLICATION, settings)["measured"]
    kept = [values["documents"][0] for values in record.values()]
    assert kept[0] >= kept[1] >= kept[2] >= kept[3]


def test_copies_are_planted_within_and_across_sources():
    data = planted(TINY, 0)
    copies = data.original != np.arange(len(data.documents))
    assert copies.sum() == 4 * 2 * 4
    across = data.source != data.source[data.original]
    assert across.sum() == 16 and not np.any(across & ~copies)
    for i in np.flatnonzero(copies):
        one, other = data.documents[i], data.documents[data.original[i]]
        assert len(one) == len(other) == SIZE
        apart = [k for k in range(SIZE) if one[k] != other[k]]
        assert 0 < len(apart) <= 25 and apart[-1] - apart[0] < 25
    with pytest.raises(InputError, match="corpus without copies"):
        planted(dataclasses.replace(TINY, copies=0), 0)


def test_scores_of_pairs():
    original = np.array([0, 0, 0, 3, 4])
    assert pair_scores(original, original) == (1.0, 1.0)
    assert pair_scores(np.array([0, 0, 2, 2, 4]), original) == (0.5, 1 / 3)
    assert len(edited("a" * 100, np.random.default_rng(0))) == 100
