"""The factors of each aggregate are those of its formula."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.transforms.memory.options import _weights

N, KAPPA = 4, 0.3
FACTORS = {
    "sum": (1.0, KAPPA / N),
    "mid": (0.5, KAPPA / N / 2),
    "mean": (1 / (N + 1), KAPPA / (N + 1)),
    "min": (1.0, KAPPA),
    "median": (1.0, KAPPA),
    "max": (1.0, KAPPA),
    "min-mean": (0.5, KAPPA / 2),
    "median-mean": (0.5, KAPPA / 2),
    "max-mean": (0.5, KAPPA / 2),
    "replace": (0.0, KAPPA / N),
}


@pytest.mark.parametrize("name", FACTORS)
def test_factors_of_gradient_and_entries(name):
    found = _weights(name, jnp.int32(N), jnp.float64(KAPPA))
    np.testing.assert_allclose(found, FACTORS[name], rtol=1e-15)


@pytest.mark.parametrize("name", FACTORS)
@pytest.mark.parametrize("size, kappa", [(0, KAPPA), (N, 0.0)])
def test_a_gradient_alone_stays_whole(name, size, kappa):
    of_gradient, of_entries = _weights(name, jnp.int32(size), jnp.float64(kappa))
    assert of_gradient == 1.0 and (size == 0 or of_entries == 0.0)
