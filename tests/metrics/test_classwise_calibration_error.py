"""The classwise calibration error: bins of a loop, its ends, wrong classes."""

import jax
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.metrics import classwise_calibration_error

NAME = "classwise_calibration_error"


def test_frequencies_equal_to_probabilities_give_zero_and_a_loop_agrees():
    rng = np.random.default_rng(0)
    p = np.repeat([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25]], 4, axis=0)
    y = np.array([0, 0, 1, 2, 0, 1, 1, 2])
    z = rng.normal(size=(8, 3))
    metric = classwise_calibration_error(classes=3, bins=4)

    @jax.jit
    def run(z):
        batch = {"outputs": z, "targets": y}
        return metric.compute(metric.update(metric.init(z.dtype), batch))[NAME]

    # At an edge, 1/4 and 1/2, a probability belongs to the bin below.
    assert run(np.log(p)) < 1e-15
    q = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    total = 0.0
    for c in range(3):
        for b in range(4):
            inside = (q[:, c] > b / 4) & (q[:, c] <= (b + 1) / 4)
            total += abs(np.sum((y[inside] == c) - q[inside, c])) / 8 / 3
    np.testing.assert_allclose(run(z), total, rtol=1e-12)


def test_another_number_of_classes_is_refused():
    metric = classwise_calibration_error(classes=3)
    batch = {"outputs": np.zeros((2, 2)), "targets": np.zeros(2, int)}
    with pytest.raises(InputError, match="must have 3 classes; got 2"):
        metric.update(None, batch)
    with pytest.raises(InputError, match="classes must"):
        classwise_calibration_error(classes=1)
