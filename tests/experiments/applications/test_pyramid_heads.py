"""Heads over a pyramid: their cells, and that the application runs."""

import numpy as np
import pytest

from experiments.applications import canvases
from experiments.applications.pyramid_heads.__main__ import APPLICATION, Config
from experiments.applications.pyramid_heads.cells import detections, score, targets
from experiments.applications.pyramid_heads.detector import ARMS


@pytest.mark.full
def test_smoke(smoke):
    record = smoke(
        APPLICATION,
        Config(
            seeds=1,
            steps=2,
            train=16,
            test=16,
            batch=4,
            width=4,
            modules=1,
            arms=ARMS[3:],
        ),
    )
    assert sorted(record["measured"]["scores"]) == sorted(ARMS[3:])


def test_logits_of_the_targets_find_every_object_and_no_other():
    rng = np.random.default_rng(0)
    objects = rng.random((20, 8, 8)), rng.integers(0, 10, 20)
    drawn = canvases.draw(objects, 12, rng, size=64, sides=range(7, 37))
    wanted = targets(drawn)
    assert wanted.shape == (12, 16**2 + 8**2 + 4**2)
    assert np.sum(wanted >= 0) == np.sum(drawn.labels >= 0)
    logits = np.full((*wanted.shape, 11), -9.0)
    there = wanted >= 0
    logits[there, 0] = 9.0
    logits[there, 1 + wanted[there]] = 9.0
    found = detections(logits, 0.5)
    # Neighbours that are near each other may be taken for one.
    assert score(found, drawn) > 0.9
    assert score([np.zeros((0, 4))] * 12, drawn) == 0.0
    wrong = [np.concatenate([f[:, :3], (f[:, 3:] + 1) % 10], axis=1) for f in found]
    assert score(wrong, drawn, classes=True) < 0.1
    assert score(wrong, drawn) == score(found, drawn)
