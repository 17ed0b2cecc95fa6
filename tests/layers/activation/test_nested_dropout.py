"""Nested dropout: its distribution, the prefixes' logits, and PCA as its optimum."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers.activation.nested_dropout import (
    first_features,
    nested_dropout,
    prefix_logits,
    prefix_probabilities,
    sample_prefix,
)

RNG = np.random.default_rng(0)
KEY = jax.random.key(0)


def test_the_number_kept_has_the_distribution():
    draw = jax.jit(jax.vmap(lambda k: sample_prefix(k, 6, mean=1.0, scale=3.0)))
    found = np.bincount(draw(jax.random.split(KEY, 8000)), minlength=7) / 8000
    weight = np.exp(-(((np.arange(1, 7) - 1) / 3) ** 2))
    np.testing.assert_allclose(found[1:], weight / weight.sum(), atol=0.02)
    assert found[0] == 0
    # A feature is kept with the survival function.
    x = jnp.ones((2, 6))
    drop = nested_dropout(6, mean=1.0, scale=3.0)
    run = jax.jit(jax.vmap(lambda k: drop.apply({}, {}, x, train=True, key=k)[0]))
    kept = run(jax.random.split(jax.random.key(1), 4000))
    np.testing.assert_array_equal(kept[:, 0], kept[:, 1])
    survival = np.cumsum(weight[::-1])[::-1] / weight.sum()
    np.testing.assert_allclose(kept[:, 0].mean(0), survival, atol=0.03)


def test_prefix_logits_are_masked_products():
    x, kernel = RNG.normal(size=(5, 4)), RNG.normal(size=(4, 3))
    found = jax.jit(prefix_logits)(x, kernel)
    masked = jnp.stack([first_features(x, k) @ kernel for k in range(1, 5)])
    np.testing.assert_allclose(found, masked, rtol=1e-12)
    np.testing.assert_array_equal(first_features(x, 4), x)


def test_principal_components_in_order_are_optimal():
    data = RNG.normal(size=(40, 5)) @ RNG.normal(size=(5, 5))
    data -= data.mean(0)
    sizes, basis = np.linalg.eigh(data.T @ data / 40)
    sizes, basis = sizes[::-1], basis[:, ::-1]
    p = prefix_probabilities(5, scale=3.0)

    @jax.jit
    @jax.value_and_grad
    def loss(u):
        codes = data @ u
        back = [first_features(codes, k) @ u.T for k in range(1, 6)]
        each = [jnp.mean(jnp.sum((data - b) ** 2, -1)) for b in back]
        return jnp.sum(p * jnp.stack(each))

    value, slope = loss(basis)
    wanted = sum(p[k - 1] * sizes[k:].sum() for k in range(1, 6))
    np.testing.assert_allclose(value, wanted, rtol=1e-10)
    # On orthonormal bases the gradient is that of the constraint: symmetric.
    part = basis.T @ np.asarray(slope)
    np.testing.assert_allclose(part, part.T, atol=1e-9)
    turn = np.linalg.qr(RNG.normal(size=(5, 5)))[0]
    assert loss(basis @ turn)[0] > value


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: nested_dropout(4, scale=-1.0), "scale must be a number of at least 0"),
        (lambda: nested_dropout(4, keep=5), "keep=5 exceeds the 4 features"),
        (
            lambda: nested_dropout(4).apply({}, {}, jnp.ones((1, 4)), train=True),
            "draws random numbers; pass key=",
        ),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(InputError, match=words):
        make()
