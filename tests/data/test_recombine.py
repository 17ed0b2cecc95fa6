"""Recombined images against loops: masks, backgrounds, classes, variants."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.data import class_variants, composite, recombine

RNG = np.random.default_rng(0)
LABELS = np.array([0, 0, 1, 2, 1, 0])
IMAGES = RNG.uniform(size=(6, 4, 3, 2)).astype(np.float32)
MASKS = RNG.uniform(size=(6, 4, 3)).astype(np.float32)
MASKS[:, 0], MASKS[:, 1] = 0, 1
# Each background says whose it is.
OWNED = np.broadcast_to(
    np.arange(6, dtype=np.float32)[:, None, None, None], (6, 4, 3, 2)
)
BATCH = {"image": IMAGES, "mask": MASKS, "background": OWNED, "label": LABELS}
KEY = jax.random.key(0)


def test_each_object_stands_before_a_background_of_another_class():
    transform = jax.jit(recombine(1.0))
    seen = set()
    for seed in range(40):
        found = transform(jax.random.key(seed), BATCH)
        images = np.asarray(found["image"])
        owner = images[:, 0, 0, 0].astype(int)
        seen |= set(zip(range(6), owner.tolist(), strict=True))
        part = MASKS[..., None]
        wanted = part * IMAGES + (1 - part) * OWNED[owner]
        np.testing.assert_allclose(images, wanted, rtol=1e-6)
        np.testing.assert_array_equal(images[:, 1], IMAGES[:, 1])
        np.testing.assert_array_equal(images[:, 0], OWNED[owner][:, 0])
        np.testing.assert_array_equal(found["label"], LABELS)
    apart = {(i, j) for i in range(6) for j in range(6) if LABELS[i] != LABELS[j]}
    assert seen == apart


def test_probability_counts_and_a_batch_of_one_class_stays():
    half = jax.jit(lambda k, b: jax.vmap(lambda k: recombine()(k, b)["image"])(k))
    images = np.asarray(half(jax.random.split(KEY, 100), BATCH))
    changed = (images != IMAGES).any((2, 3, 4))
    assert 0.4 < changed.mean() < 0.6
    assert recombine(0.0)(KEY, BATCH) is BATCH
    alone = jax.jit(recombine(1.0))(KEY, {**BATCH, "label": np.zeros(6, int)})
    np.testing.assert_array_equal(alone["image"], IMAGES)
    within = jax.jit(recombine(1.0, inter_class=False))
    mixed = within(KEY, {n: x for n, x in BATCH.items() if n != "label"})
    assert (np.asarray(mixed["image"]) != IMAGES).any()


def test_bright_objects_are_found_and_their_place_is_filled():
    images = np.full((2, 5, 5), 0.0, np.float32)
    images[0, 1:3, 1:3], images[1] = 1.0, 0.1
    images[1, 3:, 3:] = 1.0
    batch = {"image": images, "label": np.arange(2)}
    found = np.asarray(jax.jit(recombine(1.0, softness=0.01))(KEY, batch)["image"])
    wanted = images.copy()
    wanted[0][images[0] == 0], wanted[1][:] = 0.1, images[1]
    wanted[1][images[1] == np.float32(0.1)] = 0.0
    np.testing.assert_allclose(found, wanted, atol=1e-3)


def test_variants_are_drawn_alike_and_composites_are_affine():
    variants = np.stack([IMAGES + 1, IMAGES + 2], axis=1)
    batch = {**BATCH, "mask": np.ones((6, 4, 3, 1)), "variants": variants}
    run = jax.jit(jax.vmap(lambda k: recombine(1.0)(k, batch)["image"]))
    moved = np.asarray(run(jax.random.split(KEY, 200))) - IMAGES
    shares = [(np.abs(moved[..., 0, 0, 0] - v) < 1e-5).mean() for v in range(3)]
    np.testing.assert_allclose(shares, 1 / 3, atol=0.05)
    a, b, m = (jnp.asarray(RNG.normal(size=4)) for _ in range(3))
    middle = composite((a + b) / 2, m, b)
    np.testing.assert_allclose(
        middle, (composite(a, m, b) + composite(b, m, b)) / 2, rtol=1e-12
    )


def test_variants_of_a_class_move_within_it():
    labels = np.array([0, 0, 0, 0, 1, 2])
    images = RNG.normal(size=(6, 3, 3))
    moved = class_variants(KEY, images, labels, count=3, components=2) - images[:, None]
    flat = images.reshape(6, 9)
    centred = flat[:4] - flat[:4].mean(0)
    span = np.linalg.svd(centred, full_matrices=False)[2][:2]
    inside = moved[:4].reshape(-1, 9)
    np.testing.assert_allclose(inside @ span.T @ span, inside, atol=1e-12)
    assert np.abs(inside).max() > 0.1 and not moved[4:].any()
    same = class_variants(KEY, images, labels, scale=0.0)
    np.testing.assert_array_equal(same[:, 0], images)


def call(**entries):
    return lambda: recombine(1.0)(KEY, {**BATCH, **entries})


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: recombine(-0.1), "probability must lie in"),
        (lambda: recombine(softness=0.0), "softness must be above 0"),
        (lambda: recombine()(KEY, {"x": 1}), "no 'image' to recombine"),
        (lambda: recombine()(KEY, {"image": IMAGES}), "no 'label'; it has"),
        (call(label=np.zeros(6, int)), "of one class, .* or inter_class=False"),
        (call(label=np.zeros(5, int)), r"integers of shape \(6,\); got int"),
        (call(mask=np.ones((6, 4))), r"masks have shape \(6, 4\); accepted"),
        (call(background=np.ones((6, 4, 3))), "backgrounds have shape"),
        (call(variants=IMAGES), r"variants have shape .*accepted: \(B, V"),
        (call(image=np.ones((6, 4))), r"shape \(6, 4\); accepted: \(B, H, W"),
        (lambda: class_variants(KEY, LABELS, LABELS), "must be floats; got int"),
        (lambda: class_variants(KEY, IMAGES, MASKS), "labels must be integers"),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(InputError, match=words):
        make()
