"""locally_optimal: the largest eigenvalue against dense spectra."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.curvature.spectrum.locally_optimal import largest_eigenvalue


@pytest.mark.full(plain=["float32"])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_largest_eigenvalue_of_a_clustered_spectrum(dtype):
    values = np.concatenate([[2.0, 1.999], np.linspace(-5, 1.9, 198)])
    q = np.linalg.qr(np.random.default_rng(0).normal(size=(200, 200)))[0]
    matrix = jnp.asarray((q * values) @ q.T, dtype)
    start = jnp.asarray(np.random.default_rng(1).normal(size=200), dtype)
    found = jax.jit(lambda x: largest_eigenvalue(lambda v: matrix @ v, x))(start)
    assert found.value.dtype == dtype
    tolerance = 1e-12 if dtype == jnp.float64 else 1e-4
    np.testing.assert_allclose(found.value, 2.0, rtol=tolerance)
    assert found.residual < (1e-6 if dtype == jnp.float64 else 2e-3)


def test_all_negative_spectrum_and_exact_start():
    apply = lambda v: jnp.array([-3.0, -1.0, -2.0]) * v
    for start in (jnp.ones(3), jnp.array([0.0, 1.0, 0.0])):
        np.testing.assert_allclose(largest_eigenvalue(apply, start).value, -1, 1e-12)
