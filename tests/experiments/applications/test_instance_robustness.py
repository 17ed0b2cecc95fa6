"""Instances of an output, and that the application runs."""

import numpy as np
import pytest

from experiments.applications import canvases
from experiments.applications.instance_robustness.__main__ import APPLICATION, Config
from experiments.applications.instance_robustness.instances import (
    instances,
    owners,
    score,
    targets,
)
from experiments.applications.instance_robustness.network import ARMS, OUTPUTS
from jaxopt_lab.metrics import mean_corruption_score


@pytest.mark.full
def test_smoke(smoke):
    small = {"severities": (5,), "corruptions": ("contrast",)}
    arms = ARMS[1:2]
    config = Config(seeds=1, steps=2, train=8, test=4, batch=4, arms=arms, **small)
    record = smoke(APPLICATION, config)
    assert sorted(record["measured"]["clean"]) == sorted(arms)


def drawn():
    rng = np.random.default_rng(0)
    objects = np.ones((20, 8, 8)), rng.integers(0, 10, 20)
    return canvases.draw(objects, 6, rng, size=48, sides=(14,), fewest=3, most=5)


def perfect(made):
    wanted = targets(made)
    outputs = np.full((*wanted["classes"].shape, OUTPUTS), -9.0)
    there = wanted["classes"] >= 0
    outputs[there, 0] = 9.0
    heat = np.clip(wanted["heat"], 1e-4, 1 - 1e-4)
    outputs[..., 1] = np.log(heat / (1 - heat))
    outputs[..., 2:4] = wanted["offsets"]
    outputs[there, 4 + wanted["classes"][there]] = 9.0
    return outputs


def test_perfect_outputs_give_every_instance():
    made = drawn()
    outputs = perfect(made)
    for output, own, labels in zip(outputs, owners(made), made.labels, strict=True):
        parts, classes = instances(output)
        assert len(classes) == np.sum(labels >= 0)
        for i, label in enumerate(classes):
            (j,) = np.unique(own[parts == i])
            assert labels[j] == label
            np.testing.assert_array_equal(parts == i, own == j)
    assert score(outputs, made) == 1
    assert mean_corruption_score(1.0, [[score(outputs, made)]]) == (1, 1)


def test_wrong_classes_and_empty_outputs_score_nothing():
    made = drawn()
    outputs = perfect(made)
    turned = outputs.copy()
    turned[..., 4:] = np.roll(outputs[..., 4:], 1, axis=-1)
    assert score(turned, made) == 0
    assert score(np.full_like(outputs, -9.0), made) == 0
