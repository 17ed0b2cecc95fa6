"""Smoke test of replica symmetry; its pieces: ``tests/experiments/spins``."""

import dataclasses

import pytest

from experiments.applications.replica_symmetry.__main__ import APPLICATION


@pytest.mark.full
def test_smoke(smoke):
    tiny = dataclasses.replace(
        APPLICATION.sizes["quick"],
        seeds=1,
        spins=(6,),
        temperatures=(0.6,),
        steps=10,
        models=("Hopfield",),
    )
    measured = smoke(APPLICATION, tiny)["measured"]
    assert 0.8 < measured["broken"][0]["q"] < 0.9
