"""The monitor of the distance from the start against a fit by NumPy."""

import jax
import numpy as np

from jaxopt_lab.diagnostics.weights.weight_distance import (
    init_weight_distance,
    weight_distance,
)


def test_the_fit_is_that_of_least_squares():
    rng = np.random.default_rng(0)
    start = {"w": rng.normal(size=(3, 2)), "b": rng.normal(size=2)}
    state, steps, distances = init_weight_distance(start), range(1, 8), []
    update = jax.jit(weight_distance)
    for t in steps:
        noise = {n: 0.1 * rng.normal(size=x.shape) for n, x in start.items()}
        now = {n: x + np.log(t) + noise[n] for n, x in start.items()}
        found, state = update(state, now, t)
        apart = np.concatenate([(now[n] - start[n]).ravel() for n in start])
        distances.append(np.linalg.norm(apart))
        np.testing.assert_allclose(found["weight_distance"], distances[-1], rtol=1e-12)
        if t == 1:
            assert found["weight_distance_slope"] == 0
    slope, _ = np.polyfit(np.log(steps), distances, 1)
    r2 = np.corrcoef(np.log(steps), distances)[0, 1] ** 2
    np.testing.assert_allclose(found["weight_distance_slope"], slope, rtol=1e-9)
    np.testing.assert_allclose(found["weight_distance_r2"], r2, rtol=1e-9)
