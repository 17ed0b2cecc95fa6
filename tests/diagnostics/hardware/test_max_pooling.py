"""Moments after max pooling, without noise and with little of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.diagnostics.hardware import exact, max_pool_moments


def test_the_largest_means_and_their_covariance():
    rng = np.random.default_rng(0)
    image = rng.permutation(48).reshape(4, 6, 2).astype(float)
    root = 0.02 * rng.normal(size=(48, 48))
    before = exact(jnp.asarray(image))._replace(covariance=jnp.asarray(root @ root.T))
    after = jax.jit(max_pool_moments((4, 6, 2), window=(2, 3)))(before)

    def pooled(images):
        parts = images.reshape(*images.shape[:-3], 2, 2, 2, 3, 2)
        return parts.max((-4, -2)).reshape(*images.shape[:-3], -1)

    np.testing.assert_array_equal(after.mean, pooled(image))
    # The gaps between means are 1, seven deviations of the noise: draws agree.
    draws = image.reshape(-1) + rng.normal(size=(20_000, 48)) @ root.T
    found = np.cov(pooled(draws.reshape(-1, 4, 6, 2)), rowvar=False)
    error = 5 * np.diag(found).max() * np.sqrt(2 / 20_000)
    np.testing.assert_allclose(after.covariance, found, atol=error)
    slope = jax.jit(jax.grad(lambda m: jnp.sum(max_pool_moments((4, 6, 2))(m).mean)))(
        before
    )
    assert np.sum(slope.mean) == 12 and set(np.unique(slope.mean)) == {0.0, 1.0}


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: max_pool_moments((3, 4, 1)), "must tile the image; got"),
        (lambda: max_pool_moments((4, 4)), "height, width, channels"),
        (lambda: max_pool_moments((4, 4, 1), window=(0, 2)), "at least 1 each"),
        (
            lambda: max_pool_moments((2, 2, 1))(exact(jnp.ones(5))),
            "takes 4 signals; got 5",
        ),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(InputError, match=words):
        make()
