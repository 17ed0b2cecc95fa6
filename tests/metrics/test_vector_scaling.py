"""Vector scaling: the optimum, class shifts, bad labels, one temperature."""

import jax
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.metrics import apply_vector_scaling, fit_vector_scaling

RNG = np.random.default_rng(0)
TARGETS = RNG.integers(0, 3, 60)
LOGITS = RNG.normal(size=(60, 3)) + np.eye(3)[TARGETS]
SHIFTED = LOGITS + np.array([3.0, 0.0, -2.0])


@jax.jit
def fit(z, y):
    fitted = fit_vector_scaling({"outputs": z, "targets": y}, ridge=1e-3)
    return fitted, jax.nn.softmax(apply_vector_scaling(fitted, z))


@pytest.mark.parametrize("factor", [1.0, 1e-2, 300.0])
def test_the_mean_probabilities_are_the_shares_of_the_classes(factor):
    # The derivatives by offsets are zero where they are, but for the ridge. At the
    # factors of 1 logits of 300 have probabilities of 0 and 1, and no Hessian.
    logits = factor * SHIFTED
    fitted, p = fit(logits, TARGETS)
    shares = np.bincount(TARGETS) - 1e-3 * fitted.bias
    np.testing.assert_allclose(p.sum(axis=0), shares, rtol=1e-9)
    own = np.sum((p - np.eye(3)[TARGETS]) * logits, axis=0)
    slope = own + 1e-3 * (fitted.scale - 1)
    np.testing.assert_allclose(slope, 0, atol=1e-9 * max(factor, 1))


def test_labels_that_are_no_classes():
    data = {"outputs": LOGITS, "targets": TARGETS - 1}
    with pytest.raises(InputError, match="targets must be classes from 0 to 2; got -1"):
        fit_vector_scaling(data)
    assert np.isnan(fit(LOGITS, TARGETS - 1)[0].scale).all()
