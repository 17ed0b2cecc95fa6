"""Growing classifiers: imprinted proxies and nearest means."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import (
    class_means,
    grow_proxies,
    imprint_proxies,
    local_similarity,
)


def test_imprinted_proxies_are_the_centres_of_planted_clusters():
    rng = np.random.default_rng(0)
    corners = np.eye(4)
    spread = 0.01 * rng.normal(size=(2, 2, 10, 4))
    clusters = corners.reshape(2, 2, 1, 4) + spread
    features = [jnp.asarray(c.reshape(20, 4)) for c in clusters]
    old, x = 3.0 * rng.normal(size=(2, 2, 4)), rng.normal(size=(5, 4))

    @jax.jit
    def run(features, old, x):
        found = imprint_proxies(jax.random.key(0), features, proxies=2, like=old)
        grown = grow_proxies(old, found)
        logits = local_similarity(x, old), local_similarity(x, grown)
        return found, grown, logits, local_similarity(features[1], found)

    found, grown, (before, after), own = run(features, old, x)
    unit = clusters / np.linalg.norm(clusters, axis=-1, keepdims=True)
    length = np.mean(np.linalg.norm(old, axis=-1))
    for one, wanted in zip(np.asarray(found), unit.mean(axis=2), strict=True):
        order = np.argmax(one, axis=1).argsort()
        np.testing.assert_allclose(one[order], length * wanted, rtol=1e-9)
    np.testing.assert_array_equal(grown[:2], old)
    np.testing.assert_allclose(after[:, :2], before, rtol=1e-12)
    assert np.argmax(own, axis=1).tolist() == [1] * 20


def test_nearest_means_are_those_of_the_directions():
    rng = np.random.default_rng(1)
    x, labels = rng.normal(size=(12, 3)), np.arange(12) % 2
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    means = np.stack([unit[labels == c].mean(0) for c in range(2)])
    wanted = means / np.linalg.norm(means, axis=1, keepdims=True)

    @jax.jit
    def run(x, labels):
        means = class_means(x, labels, 2)
        return means, local_similarity(x, means, similarity="cosine")

    found, scores = run(x, labels)
    np.testing.assert_allclose(found[:, 0], wanted, rtol=1e-12)
    np.testing.assert_allclose(scores, unit @ wanted.T, rtol=1e-10, atol=1e-12)


def test_bad_input_is_one_line():
    key = jax.random.key(0)
    for call, words in (
        (lambda: imprint_proxies(key, []), "at least one class"),
        (lambda: imprint_proxies(key, [jnp.ones((0, 3))]), "class 0 must"),
        (lambda: grow_proxies(jnp.ones((2, 1, 3)), jnp.ones((1, 2, 3))), "as the old"),
    ):
        with pytest.raises(InputError, match=words) as raised:
            call()
        assert "\n" not in str(raised.value)
