"""CutMix against a loop over pixels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.mixing import symmetric_beta
from jaxopt_lab.data import cutmix

RNG = np.random.default_rng(0)
LABELS = np.array([0, 2, 1, 1, 0, 2])
BATCH = {"image": RNG.integers(0, 256, (6, 8, 5, 2)).astype(np.uint8), "label": LABELS}


def by_hand(key, alpha, height=8, width=5):
    draws = np.asarray(jax.random.uniform(key, (11,), jnp.float32))
    side = np.sqrt(1 - np.float32(symmetric_beta(draws[0], draws[1], alpha)))
    order = np.argsort(draws[5:])
    box = np.zeros((height, width), bool)
    half = [int(n * side) // 2 for n in (height, width)]
    centre = [int(n * u) for n, u in zip((height, width), draws[3:5], strict=True)]
    for i in range(height):
        for j in range(width):
            inside = [
                c - h <= k < c + h for c, h, k in zip(centre, half, (i, j), strict=True)
            ]
            box[i, j] = all(inside)
    images = np.where(box[None, ..., None], BATCH["image"][order], BATCH["image"])
    one_hot, share = np.eye(3)[LABELS], box.mean()
    return images, (1 - share) * one_hot + share * one_hot[order], share


def test_it_is_the_loop_and_labels_have_the_share_of_the_pixels():
    transform, shares = jax.jit(cutmix(num_classes=3)), []
    for seed in range(12):
        key = jax.random.key(seed)
        found = transform(key, BATCH)
        images, labels, share = by_hand(key, 1.0)
        np.testing.assert_array_equal(found["image"], images)
        np.testing.assert_allclose(found["label"], labels, rtol=1e-6, atol=1e-7)
        shares.append(share)
    assert found["image"].dtype == np.uint8 and found["label"].dtype == jnp.float32
    assert min(shares) < 0.1 and max(shares) > 0.4


def test_strength_and_probability_0_change_no_pixel_and_soft_labels_stay_soft():
    key = jax.random.key(4)
    assert cutmix(0.0, num_classes=3)(key, BATCH) is BATCH
    found = cutmix(num_classes=3, probability=0.0)(key, BATCH)
    np.testing.assert_array_equal(found["image"], BATCH["image"])
    np.testing.assert_array_equal(found["label"], np.eye(3)[LABELS])
    soft = {**BATCH, "label": np.eye(3)[LABELS]}
    mixed = [cutmix(num_classes=3)(key, batch)["label"] for batch in (soft, BATCH)]
    assert mixed[0].dtype == jnp.float64
    np.testing.assert_allclose(*mixed, rtol=1e-6)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: cutmix(-0.1, num_classes=2), "alpha must be at least 0; got -0.1"),
        (lambda: cutmix(num_classes=2, probability=2.0), "probability must lie in"),
        (
            lambda: cutmix(num_classes=2)(jax.random.key(0), {"image": np.ones(2)}),
            "the batch has no 'label' to mix",
        ),
        (
            lambda: cutmix(num_classes=2)(
                jax.random.key(0), {"image": np.ones((2, 3)), "label": np.ones(2, int)}
            ),
            r"shape \(2, 3\); accepted: \(B, H, W",
        ),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(InputError, match=words):
        make()
