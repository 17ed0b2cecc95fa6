"""Smoke test of multitasking networks; their pieces: ``tests/experiments/spins``."""

import dataclasses

import pytest

from experiments.applications.multitasking_hebbian.__main__ import APPLICATION


@pytest.mark.full
def test_smoke(smoke):
    tiny = dataclasses.replace(
        APPLICATION.sizes["quick"],
        seeds=1,
        spins=60,
        patterns=2,
        blanks=(0.9,),
        temperatures=(0.7,),
        steps=4,
    )
    cells = smoke(APPLICATION, tiny)["measured"]["cells"]
    assert [cell["start"] for cell in cells] == ["hierarchy", "majority"]
