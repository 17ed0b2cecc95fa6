"""Smoke test of dense Hebbian networks; their pieces: ``tests/experiments/spins``."""

import dataclasses

import pytest

from experiments.applications.dense_hebbian import APPLICATION


@pytest.mark.full
def test_smoke(smoke):
    tiny = dataclasses.replace(
        APPLICATION.sizes["quick"], seeds=1, starts=5, spins=30, examples=(5,), steps=2
    )
    assert smoke(APPLICATION, tiny)["measured"]["cells"] == [[2, 0.05, 5], [4, 0.05, 5]]
