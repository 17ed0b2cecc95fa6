"""Softplus of orders 4 and 6 against sums over the nodes of two Gaussian signals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.diagnostics.hardware import exact, softplus_moments

MEAN = np.array([0.4, -0.9])
COVARIANCE = np.array([[1.0, 0.6], [0.6, 0.8]])


def summed(scale):
    """Mean and covariance by Gauss-Hermite quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    pairs = np.stack(np.meshgrid(nodes, nodes, indexing="ij"), -1).reshape(-1, 2)
    weight = np.outer(weights, weights).reshape(-1) / (2 * np.pi)
    root = np.linalg.cholesky(scale * COVARIANCE)
    values = np.logaddexp(0, MEAN + pairs @ root.T)
    mean = weight @ values
    return mean, (weight[:, None] * values).T @ values - np.outer(mean, mean)


def test_the_error_falls_with_the_next_power_of_the_variance():
    @jax.jit
    def found(covariance):
        before = exact(jnp.asarray(MEAN))._replace(covariance=covariance)
        return {order: softplus_moments(before, order=order) for order in (4, 6)}

    coarse, fine = found(0.2 * COVARIANCE), found(0.1 * COVARIANCE)
    for order in (4, 6):
        for i in range(2):
            errors = [
                np.abs(one[order][i] - summed(scale)[i]).max()
                for one, scale in ((coarse, 0.2), (fine, 0.1))
            ]
            # Halved noise: an eighth (order 4), a sixteenth (6), nearly.
            ratio = errors[0] / errors[1]
            assert 0.75 < np.log2(ratio) / (order // 2 + 1) < 1.25, (order, i, errors)


def test_bad_input_and_no_noise():
    x = jnp.array([-30.0, 0.0, 30.0])
    after = jax.jit(lambda x: softplus_moments(exact(x), order=6))(x)
    np.testing.assert_allclose(after.mean, jax.nn.softplus(x), rtol=1e-15)
    assert not np.any(after.covariance)
    with pytest.raises(InputError, match="order must be 2, 4 or 6; got 3"):
        softplus_moments(exact(x), order=3)
