"""Dehazing: the model of haze, and a network that is the identity at first."""

import dataclasses

import numpy as np
import pytest

from experiments.applications.dehazing import APPLICATION, prepare
from experiments.applications.dehazing_nets import depth_of, hazy
from experiments.applications.photographs import filled, made_disparity
from jaxopt_lab.core.errors import InputError


@pytest.mark.full
def test_smoke(smoke):
    tiny = dataclasses.replace(
        APPLICATION.sizes["quick"],
        seeds=1,
        arms=("plain",),
        steps=1,
        train=4,
        test=2,
        size=16,
    )
    sizes = smoke(APPLICATION, tiny)["measured"]["sizes"]
    assert sizes["hazy"] == 0 < sizes["plain"]


def test_haze_grows_with_depth_and_near_things_stay():
    rng = np.random.default_rng(0)
    images, depth = rng.uniform(size=(3, 4, 4, 3)), rng.uniform(size=(3, 4, 4))
    seen = hazy(np.random.default_rng(1), images, depth)
    np.testing.assert_allclose(
        hazy(np.random.default_rng(1), images, 0 * depth), images
    )
    draws = np.random.default_rng(1)
    density, light = draws.uniform(0.5, 2, 3), draws.uniform(0.7, 1, 3)
    for n, i, j in np.ndindex(3, 4, 4):
        t = np.exp(-density[n] * depth[n, i, j])
        np.testing.assert_allclose(
            seen[n, i, j], images[n, i, j] * t + light[n] * (1 - t)
        )
    far = hazy(np.random.default_rng(1), images, 1e3 + depth)
    np.testing.assert_allclose(far, light[:, None, None, None] * np.ones_like(far))


def test_depths_of_disparities_with_holes():
    disparity = filled(np.array([[2.0, np.inf, 4.0], [0.0, 3.0, np.nan]]))
    np.testing.assert_array_equal(disparity, [[2, 3, 4], [3, 3, 3]])
    depth = depth_of(disparity)
    np.testing.assert_allclose(depth * disparity, depth[0, 0] * 2)
    np.testing.assert_allclose(depth.mean(), 1)


def test_made_scenes_have_a_far_wall_near_ground_and_boxes():
    found = made_disparity(np.random.default_rng(0), 60, 80)
    assert found.shape == (60, 80) and found.min() >= 0.25 and found.max() <= 1
    ground = made_disparity(np.random.default_rng(0), 60, 80, boxes=0)
    assert np.all(np.diff(ground, axis=0) >= 0) and np.ptp(ground, axis=1).max() == 0
    # A box is nearer than what it hides.
    assert np.all(found >= ground - 1 / 59) and np.mean(found > ground) > 0.1


def test_unknown_depth():
    with pytest.raises(InputError, match="depth"):
        prepare(APPLICATION.sizes["quick"], depth="deep")
