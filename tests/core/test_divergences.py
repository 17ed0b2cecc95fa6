"""The divergence of several predictions against entropies and its second order."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core.divergences import jensen_shannon_divergence

RNG = np.random.default_rng(0)
value = jax.jit(
    jax.vmap(
        lambda z: jax.value_and_grad(
            lambda z: jensen_shannon_divergence(jax.nn.log_softmax(z))
        )(z)
    )
)


def divergence(p):
    entropy = lambda p: -np.sum(p * np.log(np.where(p > 0, p, 1)), axis=-1)
    return entropy(p.mean(axis=-2)) - entropy(p).mean(axis=-1)


def test_it_is_the_difference_of_entropies_with_the_derivative_of_differences():
    z = RNG.normal(size=(6, 3, 4)) * np.array([0.1, 0.5, 1, 3, 10, 30])[:, None, None]
    z[3, 1, 2], z[4, :, 0] = -np.inf, -np.inf
    by = np.zeros_like(z)
    by[:, 1, 1] = 1e-5
    (found, slopes), (up, _), (down, _) = map(value, (z, z + by, z - by))
    p = np.exp(z - z.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(found, divergence(p), rtol=1e-11, atol=1e-15)
    np.testing.assert_allclose(slopes[:, 1, 1], (up - down) / 2e-5, 1e-6, 1e-9)
    assert np.all(np.isfinite(slopes))


def test_it_keeps_its_digits_where_predictions_are_close():
    z, by = RNG.normal(size=(1, 4)), RNG.normal(size=(3, 4))
    q = np.exp(z) / np.exp(z).sum()
    by = by - (q * by).sum(axis=-1, keepdims=True)
    variance = np.mean(np.sum(q * (by - by.mean(axis=0)) ** 2, axis=-1)) / 2
    found, slopes = value(np.stack([z + 1e-6 * by, np.repeat(z, 3, axis=0)] * 3))
    # Third order is a millionth of it; the entropies have no digits left at 1e-12.
    np.testing.assert_allclose(found[0], 1e-12 * variance, rtol=1e-5)
    assert found[1] == 0 and not np.any(slopes[1])
    one = jax.eval_shape(jensen_shannon_divergence, jnp.zeros((2, 3), jnp.float32))
    assert one.dtype == jnp.float32 and one.shape == ()
