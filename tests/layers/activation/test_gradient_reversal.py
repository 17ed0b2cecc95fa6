"""The reversed gradient in both modes, and an adversary in one step."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.layers import reversed_gradient

X = np.random.default_rng(0).normal(size=(4, 3))


def test_both_modes_and_the_weight():
    f = lambda x, w: jnp.sum(jnp.sin(reversed_gradient(x, w)))

    @jax.jit
    def found(x, w):
        slopes = jax.grad(f, argnums=(0, 1))(x, w)
        return f(x, w), slopes, jax.jvp(lambda x: f(x, w), (x,), (x,))[1]

    value, (slope, of_weight), along = found(X, 0.5)
    np.testing.assert_allclose(value, np.sin(X).sum(), rtol=1e-14)
    np.testing.assert_allclose(slope, -0.5 * np.cos(X), rtol=1e-14)
    np.testing.assert_allclose(along, -0.5 * np.sum(X * np.cos(X)), rtol=1e-12)
    assert of_weight == 0
    assert not np.any(found(X, 0.0)[1][0])


def test_an_adversary_in_one_backward_pass():
    """Those behind descend, those before ascend, by the derivatives of two passes."""

    def loss(encoder, adversary, weight):
        z = jnp.tanh(X @ encoder)
        z = z if weight is None else reversed_gradient(z, weight)
        return jnp.mean((z @ adversary) ** 2)

    @jax.jit
    def slopes(*params):
        one = jax.grad(loss, argnums=(0, 1))(*params, 2.0)
        return one, jax.grad(loss, argnums=(0, 1))(*params, None)

    rng = np.random.default_rng(1)
    found, plain = slopes(rng.normal(size=(3, 2)), rng.normal(size=2))
    np.testing.assert_allclose(found[0], -2 * plain[0], rtol=1e-14)
    np.testing.assert_allclose(found[1], plain[1], rtol=1e-14)
