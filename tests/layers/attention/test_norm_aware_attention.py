"""Norm-aware linear attention against its explicit matrix."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import (
    linear_attention,
    norm_aware_attention,
    norm_aware_features,
    rotary_angles,
)

RNG = np.random.default_rng(0)
Q, K = RNG.normal(size=(2, 2, 6, 4))
V = RNG.normal(size=(2, 6, 3))
ZERO = np.array([[0.0, 0, 0, 0], [0, 0, 2, 0], [1, -1, 1e-9, 0]])


@functools.cache
def found():
    """Everything that is compared, in one program."""
    angles = rotary_angles(2, 3, 8)

    def attend(q, k, **options):
        return linear_attention(*norm_aware_features(q, k), jnp.asarray(V), **options)

    layer = norm_aware_attention(4, heads=2, rotary=False, lepe_size=None)
    images = jnp.asarray(RNG.normal(size=(2, 2, 3, 4)))
    order = np.array([3, 0, 5, 1, 4, 2])
    moved = images.reshape(2, 6, 4)[:, order].reshape(images.shape)

    @jax.jit
    def run(q, k, key):
        # Larger than the default, whose differences a test could not see.
        params = jax.tree.map(
            lambda p: jnp.float64(20) * p.astype(float), layer.init(key)[0]
        )
        at_zero = lambda q: jnp.sum(norm_aware_features(q, k[0, :3])[0])
        call = lambda x: layer.apply(params, {}, x, train=True)[0].reshape(2, 6, 4)
        where = jnp.arange(6).reshape(1, 6, 1) < 4
        return {
            "features": norm_aware_features(q, k),
            "plain": attend(q, k),
            "turned": attend(q, k, angles=angles),
            "tiny": attend(q, k, eps=1e-13),
            "scaled keys": attend(q, 7 * k, eps=1e-13),
            "longer query": attend(3 * q, k, eps=1e-13),
            "unit": norm_aware_features(q, k, power_scale=1e-300)[0],
            "first four": linear_attention(
                *(f[:, :4] for f in norm_aware_features(q, k)), jnp.asarray(V)[:, :4]
            ),
            "masked": attend(q, k.at[:, 4:].set(jnp.nan), where=where),
            "slope": jax.grad(at_zero)(jnp.asarray(ZERO)),
            "unmet": linear_attention(*norm_aware_features(q, 0 * k), jnp.asarray(V)),
            "layer": call(images)[:, order],
            "moved": call(moved),
        }

    values = run(jnp.asarray(Q), jnp.asarray(K), jax.random.key(0))
    return jax.tree.map(np.asarray, values)


def dense(angles=None, eps=1e-6):
    """The rows of weights, by NumPy."""
    norm = np.linalg.norm(Q, axis=-1, keepdims=True)
    u, p = Q / norm, 3 * (0.5 + np.tanh(norm))
    q = np.concatenate([np.maximum(u, 0) ** p, np.maximum(-u, 0) ** p], -1)
    k = np.concatenate([np.maximum(K, 0) ** 3, np.maximum(-K, 0) ** 3], -1)
    total = (q @ k.swapaxes(1, 2)).mean(-1, keepdims=True)
    if angles is not None:
        turn = np.exp(1j * angles)
        q, k = ((f[..., ::2] + 1j * f[..., 1::2]) * turn for f in (q, k))
    return np.real(q @ np.conj(k).swapaxes(1, 2)) / 6 / (total + eps)


def test_it_is_the_explicit_matrix():
    close: Any = {"rtol": 1e-12, "atol": 1e-13}
    np.testing.assert_allclose(found()["plain"], dense() @ V, **close)
    turned = dense(rotary_angles(2, 3, 8)) @ V
    np.testing.assert_allclose(found()["turned"], turned, **close)
    weights = dense(eps=0.0)
    assert np.all(weights >= 0)
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-13)
    np.testing.assert_allclose(found()["tiny"], weights @ V, rtol=1e-10, atol=1e-11)


def test_norms_of_keys_do_not_matter_and_that_of_a_query_does():
    tiny = found()["tiny"]
    np.testing.assert_allclose(found()["scaled keys"], tiny, rtol=1e-10, atol=1e-11)
    assert np.max(np.abs(found()["longer query"] - tiny)) > 1e-2


def test_queries_keep_their_sign_and_at_zero_everything_is_finite():
    queries, keys = found()["features"]
    assert np.all(queries >= 0) and np.all(keys >= 0)
    np.testing.assert_array_equal(queries[..., :4] > 0, Q > 0)
    np.testing.assert_array_equal(queries[..., 4:] > 0, Q < 0)
    np.testing.assert_array_equal(found()["unit"], queries > 0)
    assert np.all(np.isfinite(found()["slope"]))
    assert not found()["slope"][0].any() and not found()["unmet"].any()


def test_padding_is_not_seen():
    np.testing.assert_allclose(
        found()["masked"][:, :4], found()["first four"], rtol=1e-12, atol=1e-14
    )


def test_without_positions_permuted_tokens_give_permuted_outputs():
    assert np.ptp(found()["layer"]) > 0.1
    np.testing.assert_allclose(
        found()["moved"], found()["layer"], rtol=1e-11, atol=1e-12
    )


X = jnp.ones((1, 2, 2, 4))


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: norm_aware_attention(4, heads=3), "heads must divide"),
        (lambda: norm_aware_attention(3), "must be even"),
        (lambda: norm_aware_attention(4, key_power=2), "odd"),
        (lambda: norm_aware_features(X, X, key_power=4), "odd"),
        (lambda: norm_aware_attention(4, eps=0.0), "eps"),
        (lambda: norm_aware_attention(4, lepe_size=0), "lepe_size"),
        (lambda: linear_attention(X, X[..., :2], X), "q and k must"),
        (lambda: rotary_angles(2, 2, 6), "multiple of 4"),
        (
            lambda: norm_aware_attention(4).apply({}, {}, X[0], train=True),
            "takes images",
        ),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(InputError, match=words) as error:
        call()
    assert "\n" not in str(error.value)
