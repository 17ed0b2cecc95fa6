"""Balls to the k-th neighbour: recorded values, ends, planted noise, lost modes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import planted_sets, vectors

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.metrics import knn_coverage
from jaxopt_lab.metrics.sets import ball_counts

SCORE = jax.jit(knn_coverage, static_argnames=("k", "block"))


@pytest.mark.parametrize("name", planted_sets.unhashed_cases())
def test_recorded_values(name):
    with np.load(vectors.VECTORS / "lsh_precision_recall" / f"{name}.npz") as file:
        case = dict(file)
    k = planted_sets.meta(case)["k"]
    found = SCORE(case["batch/0/real"], case["batch/0/generated"], k=k)
    for field in ("precision", "recall"):
        wanted = case[f"out/{field}_knn"]
        np.testing.assert_allclose(getattr(found, field).value, wanted, atol=1e-12)


def test_identical_sets_are_at_the_top():
    x = planted_sets.ring(np.random.default_rng(0), 10)
    found = SCORE(x, x, k=3)
    for name in ("precision", "recall", "coverage"):
        assert getattr(found, name) == (1.0, 0.0), name
    np.testing.assert_allclose(found.density.value, 4 / 3)


def test_noise_costs_precision_and_lost_modes_cost_recall():
    real, noisy, fewer = planted_sets.planted()
    scores = [SCORE(real, x, k=3) for x in noisy]
    for name in ("precision", "density", "coverage"):
        values = [float(getattr(s, name).value) for s in scores]
        assert values == sorted(values, reverse=True) and values[-1] < values[0], name
    scores = [SCORE(real, x, k=3) for x in fewer]
    for name in ("recall", "coverage"):
        values = [float(getattr(s, name).value) for s in scores]
        assert values == sorted(values, reverse=True) and values[-1] < 0.5, name
    assert float(scores[-1].precision.value) > 0.8


def test_the_error_is_that_of_the_mean():
    real, noisy, _ = planted_sets.planted()
    p, error = SCORE(real, noisy[2], k=3).precision
    np.testing.assert_allclose(error, np.sqrt(p * (1 - p) / (len(real) - 1)), rtol=1e-9)


def test_a_neighbour_on_the_surface_of_a_ball_is_inside_far_from_the_origin():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(40, 3)) + 1e3, jnp.float32)
    radii = jnp.sort(jnp.linalg.norm(x[:, None] - x[None], axis=2), axis=1)[:, 3]
    counts = jax.jit(ball_counts)(x, x, radii, radii)
    np.testing.assert_array_equal(counts.of_row, np.full(40, 4))


@pytest.mark.parametrize(
    "real, generated, k, words",
    [
        (np.ones((0, 2)), np.eye(3), 1, "real has no points"),
        (np.eye(3), np.ones((4, 3)), 1, "generated: all 4 points are equal"),
        (np.eye(3), np.eye(4), 1, "as many features; got 3 and 4"),
        (np.eye(4), np.eye(4)[:3], 3, "from 1 to 2, the other points of generated"),
        (np.eye(3), np.eye(3), 0, "k must be a whole number of at least 1|at least 1"),
        (np.eye(3)[0], np.eye(3), 1, r"real must be \(points, features\)"),
        (np.eye(3, dtype=int), np.eye(3), 1, "real floating numbers; got int"),
    ],
)
def test_sets_that_cannot_be_measured(real, generated, k, words):
    with pytest.raises(InputError, match=words) as caught:
        knn_coverage(real, generated, k=k)
    assert "\n" not in str(caught.value)
