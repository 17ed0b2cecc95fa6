"""Gamma numbers against SciPy's distribution."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.inference import log_gamma_numbers

draw = jax.jit(log_gamma_numbers)
SHAPES = np.array([1e-4, 0.3, 0.99, 1.0, 4.0, 1e6, 0.0, np.inf, np.nan, -1.0])


def test_numbers_have_their_distribution():
    logs = np.asarray(
        draw(jax.random.key(0), np.broadcast_to(SHAPES, (4000, len(SHAPES))))
    )
    assert np.all(logs[:, 6] == -np.inf) and np.all(logs[:, 7] == np.inf)
    assert np.all(np.isnan(logs[:, 8:]))
    # In logarithms, or half of the numbers of the first shape were 0.
    assert stats.kstest(-logs[:, 0], stats.expon(scale=1e4).cdf).pvalue > 1e-3
    for i, a in list(enumerate(SHAPES))[1:6]:
        assert stats.kstest(logs[:, i], stats.loggamma(a).cdf).pvalue > 1e-3, a


def test_single_keys_are_those_of_a_stack():
    keys = jax.random.split(jax.random.key(1), 3)
    shapes = jnp.array([0.1, 1.0, 5.0], jnp.float32)
    stacked = jax.jit(jax.vmap(log_gamma_numbers, (0, None)))(keys, shapes)
    assert stacked.dtype == jnp.float32
    for key, row in zip(keys, stacked, strict=True):
        np.testing.assert_allclose(row, draw(key, shapes), rtol=1e-6)


def test_bad_input():
    with pytest.raises(InputError, match="shape_parameter must be of a floating type"):
        log_gamma_numbers(jax.random.key(0), 3)
    with pytest.raises(InputError, match="key must be a typed key"):
        log_gamma_numbers(0, 3.0)
