"""Mixup against a plain NumPy mixture."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.mixing import symmetric_beta
from jaxopt_lab.data import ArrayBatches, mixup

RNG = np.random.default_rng(0)
BATCH = {
    "image": RNG.normal(size=(6, 2, 3)),
    "label": np.array([0, 2, 1, 1, 0, 2]),
    "weight": np.ones(6),
}


def test_every_example_is_mixed_with_one_other():
    found = jax.jit(mixup(0.7, num_classes=3))(jax.random.key(3), BATCH)
    image, labels = np.asarray(found["image"]), np.eye(3)[BATCH["label"]]
    draws = jax.random.uniform(jax.random.key(3), (8,), jnp.float32)
    weight = np.float64(symmetric_beta(draws[0], draws[1], 0.7))
    order = np.argsort(draws[2:])
    assert 0 < weight < 1 and sorted(order) == list(range(6))
    mixed = weight * BATCH["image"] + (1 - weight) * BATCH["image"][order]
    np.testing.assert_allclose(image, mixed, rtol=1e-14)
    np.testing.assert_allclose(
        found["label"], weight * labels + (1 - weight) * labels[order], rtol=1e-14
    )
    np.testing.assert_allclose(np.sum(found["label"], axis=1), 1, rtol=1e-14)
    np.testing.assert_allclose(np.mean(image, 0), np.mean(BATCH["image"], 0))
    assert found["weight"] is not None and found["label"].dtype == jnp.float64


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_the_weight_has_its_distribution(alpha):
    u, v = jax.random.uniform(jax.random.key(0), (2, 4000), jnp.float32)
    weights = jax.jit(symmetric_beta)(u, v, alpha)
    found = scipy.stats.kstest(weights, scipy.stats.beta(alpha, alpha).cdf)
    assert found.pvalue > 0.01


def test_tiny_strengths_choose_one_of_two():
    u, v = jax.random.uniform(jax.random.key(0), (2, 1000), jnp.float32)
    weights = jax.jit(symmetric_beta)(u, v, 1e-4)
    apart = np.minimum(weights, 1 - np.asarray(weights))
    assert np.mean(apart < 1e-4) > 0.99 and 0.4 < np.mean(weights) < 0.6


def test_strength_0_is_the_identity_and_soft_labels_stay_soft():
    assert mixup(0.0, num_classes=3)(jax.random.key(0), BATCH) is BATCH
    soft = {**BATCH, "label": np.eye(3)[BATCH["label"]]}
    transform = jax.jit(mixup(0.7, num_classes=3))
    key = jax.random.key(1)
    np.testing.assert_array_equal(
        transform(key, soft)["label"], transform(key, BATCH)["label"]
    )


def test_images_of_bytes_become_floats():
    batch = {"image": np.full((2, 3), 255, np.uint8), "label": np.array([0, 1])}
    found = jax.jit(mixup(num_classes=2))(jax.random.key(0), batch)
    assert found["image"].dtype == jnp.float32 == found["label"].dtype
    np.testing.assert_allclose(found["image"], 1.0, rtol=1e-6)


def test_it_is_an_augmentation_of_batches():
    source = ArrayBatches(
        BATCH, 3, jax.random.key(0), augment=mixup(1.0, num_classes=3)
    )
    assert source.next()["label"].shape == (3, 3)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: mixup(-0.1, num_classes=2), "alpha must be at least 0; got -0.1"),
        (lambda: mixup(num_classes=0), "num_classes must be a whole number"),
        (lambda: mixup(num_classes=2, inputs=()), "inputs must name at least one"),
        (
            lambda: mixup(num_classes=2)(jax.random.key(0), {"image": np.ones(2)}),
            "the batch has no 'label' to mix; it has",
        ),
        (
            lambda: mixup(num_classes=2)(
                jax.random.key(0), {"image": np.ones(2), "label": np.ones(2)}
            ),
            r"integers of shape \(2,\) or floats of shape \(2, 2\); got float64",
        ),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(InputError, match=words):
        make()
