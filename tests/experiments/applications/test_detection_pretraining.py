"""Pre-training of a detector: assignment, scores, and that the application runs."""

import itertools

import jax
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from experiments.applications import canvases
from experiments.applications.detection_pretraining.__main__ import (
    APPLICATION,
    ARMS,
    Config,
)
from experiments.applications.detection_pretraining.detector import SIZE
from experiments.applications.detection_pretraining.objective import assignment
from experiments.applications.detection_pretraining.scenes import (
    crops,
    detections,
    embedding,
)
from experiments.applications.pyramid_heads.cells import score


@pytest.mark.full
def test_smoke(smoke):
    record = smoke(
        APPLICATION,
        Config(
            seeds=1,
            steps=2,
            tuning=2,
            unlabelled=12,
            labelled=6,
            test=6,
            batch=4,
            width=8,
            depth=1,
            heads=2,
            hidden=8,
            queries=5,
            effort=0,
        ),
    )
    assert sorted(record["measured"]) == sorted(ARMS)


@pytest.mark.parametrize("queries, objects", [(5, 5), (5, 3)])
def test_assignment_is_that_of_brute_force_and_of_the_hungarian_method(
    queries, objects
):
    costs = np.random.default_rng(objects).normal(size=(6, queries, objects))
    found = np.asarray(jax.jit(assignment)(costs))
    for own, matrix in zip(found, costs, strict=True):
        total = lambda way, matrix=matrix: matrix[list(way), range(objects)].sum()
        best = min(itertools.permutations(range(queries), objects), key=total)
        assert own.tolist() == list(best)
        rows, columns = linear_sum_assignment(matrix)
        assert own[columns].tolist() == rows.tolist()


def drawn(count=12):
    rng = np.random.default_rng(0)
    objects = rng.random((20, 8, 8)), rng.integers(0, 10, 20)
    return canvases.draw(objects, count, rng, size=SIZE, sides=range(10, 19))


def test_right_boxes_and_classes_score_one_and_wrong_ones_less():
    scenes = drawn()
    n, most = scenes.labels.shape
    probabilities = np.zeros((n, most, 11))
    at = np.where(scenes.labels >= 0, scenes.labels, 10)
    np.put_along_axis(probabilities, at[..., None], 1.0, axis=-1)
    boxes = scenes.boxes / SIZE
    found = detections(probabilities, boxes, 0.5)
    assert score(found, scenes, classes=True) == score(found, scenes) == 1.0
    other = np.roll(probabilities[..., :10], 1, axis=-1)
    wrong = np.concatenate([other, probabilities[..., 10:]], axis=-1)
    found = detections(wrong, boxes, 0.5)
    assert score(found, scenes) == 1.0 and score(found, scenes, classes=True) < 0.2
    assert score(detections(probabilities, boxes + 0.5, 0.5), scenes) < 0.2
    nothing = 0.4 * probabilities + 0.6 * (np.arange(11) == 10)
    assert score(detections(nothing, boxes, 0.5), scenes) == 0.0


def test_embeddings_are_of_the_pixels_in_a_box_alone():
    scenes = drawn()
    here = scenes.labels >= 0
    embed = embedding(scenes, 6)
    components = embed(crops(scenes))[here]
    np.testing.assert_allclose(np.mean(components**2), 1.0, rtol=1e-4)
    row, column, side = scenes.boxes[0, 0]
    images = scenes.images.copy()
    top, left = int(row - side / 2), int(column - side / 2)
    outside = np.ones((SIZE, SIZE), bool)
    outside[top : top + int(side), left : left + int(side)] = False
    images[0][outside] = 0.5
    changed = embed(crops(scenes._replace(images=images)))
    np.testing.assert_array_equal(changed[0, 0], embed(crops(scenes))[0, 0])
