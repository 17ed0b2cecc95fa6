"""Noise on the weights."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.diagnostics import with_weight_noise


def test_noise_is_on_kernels_and_scales_with_the_largest_weight():
    kernel = jnp.zeros((300, 300)).at[0, 0].set(-2.0)
    params = {"kernel": kernel, "bias": jnp.ones(5)}
    noisy = with_weight_noise(params, 0.1, jax.random.key(0))
    np.testing.assert_array_equal(noisy["bias"], params["bias"])
    moved = np.asarray(noisy["kernel"] - kernel)
    # Four standard errors of a standard deviation from 90,000 draws.
    assert abs(moved.std() - 0.2) < 4 * 0.2 / np.sqrt(2 * moved.size)
    still = with_weight_noise(params, 0.0, jax.random.key(0))
    np.testing.assert_array_equal(still["kernel"], kernel)
    assert (
        with_weight_noise({"a": jnp.zeros(3)}, 0.1, jax.random.key(0))["a"].max() == 0
    )
