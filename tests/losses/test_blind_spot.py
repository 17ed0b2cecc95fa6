"""Subsampled pixels and the losses of conditional blind-spot networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.losses import (
    blind_spot_loss,
    downsampled_invariance,
    random_subsample,
    subsample,
)

RNG = np.random.default_rng(0)
X, OUTPUTS, UNMASKED = RNG.normal(size=(3, 3, 4, 6, 2))
CHOICES = RNG.integers(0, 4, (3, 2, 3)).astype(np.int32)
MASKED_OF_SUB = RNG.normal(size=(3, 2, 3, 2))
GIVEN = {
    "unmasked": UNMASKED,
    "masked_of_sub": MASKED_OF_SUB,
    "choices": CHOICES,
}


def chosen(x, choices=CHOICES, factor=2):
    small = np.zeros((*choices.shape, x.shape[-1]))
    for b, i, j in np.ndindex(choices.shape):
        row, column = divmod(int(choices[b, i, j]), factor)
        small[b, i, j] = x[b, factor * i + row, factor * j + column]
    return small


def test_one_pixel_of_each_cell_by_the_key_alone():
    draw = jax.jit(lambda key, *x: random_subsample(key, *x, factor=2))
    choices, one, other = draw(jax.random.key(1), X, np.exp(X))
    np.testing.assert_array_equal(one, chosen(X, np.asarray(choices)))
    np.testing.assert_allclose(other, np.exp(one), rtol=1e-12)
    again = draw(jax.random.key(1), UNMASKED, X)[0]
    np.testing.assert_array_equal(again, choices)
    keys = jax.random.split(jax.random.key(2), 500)
    many = jax.jit(jax.vmap(lambda key: random_subsample(key, X)[0]))(keys)
    counts = [np.mean(many == k, axis=0) for k in range(4)]
    assert np.all(np.abs(np.array(counts) - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 500))
    three = X[:, :3, :, :]
    nine = RNG.integers(0, 9, (3, 1, 2))
    np.testing.assert_array_equal(
        subsample(three, nine, factor=3), chosen(three, nine, 3)
    )


def test_losses_against_numpy_and_their_constants():
    @jax.jit
    def run(outputs, noisy, given):
        total = lambda *a: jnp.sum(blind_spot_loss(*a[:2], strength=0.3, **a[2]))
        slopes = jax.grad(total, (0, 1, 2), allow_int=True)(outputs, noisy, given)
        loss = blind_spot_loss(outputs, noisy, strength=0.3, **given)
        return loss, slopes, blind_spot_loss(outputs, noisy, strength=0.0, **given)

    loss, slopes, blind = run(OUTPUTS, X, GIVEN)
    mean = lambda x: np.mean(np.abs(x), axis=(1, 2, 3))
    near = mean(chosen(UNMASKED) - MASKED_OF_SUB)
    wanted = mean(OUTPUTS - X) + 0.3 * (mean(UNMASKED - X) + 2 * near)
    np.testing.assert_allclose(loss, wanted, rtol=1e-12)
    np.testing.assert_allclose(blind, mean(OUTPUTS - X), rtol=1e-12)
    invariance = downsampled_invariance(UNMASKED, MASKED_OF_SUB, choices=CHOICES)
    np.testing.assert_allclose(invariance, near, rtol=1e-12)
    np.testing.assert_allclose(slopes[0], np.sign(OUTPUTS - X) / 48, rtol=1e-12)
    assert not np.any(slopes[1]) and not np.any(slopes[2]["masked_of_sub"])
    own = np.zeros_like(UNMASKED)
    for b, i, j in np.ndindex(CHOICES.shape):
        row, column = divmod(int(CHOICES[b, i, j]), 2)
        place = (b, 2 * i + row, 2 * j + column)
        own[place] = np.sign(UNMASKED[place] - MASKED_OF_SUB[b, i, j]) / 12
    wanted = 0.3 * (np.sign(UNMASKED - X) / 48 + 2 * own)
    np.testing.assert_allclose(slopes[2]["unmasked"], wanted, rtol=1e-12)


def test_a_constant_image_is_denoised_without_loss():
    flat, small = np.full((1, 4, 4, 1), 0.3), np.full((1, 2, 2, 1), 0.3)
    given = {"masked_of_sub": small, "choices": np.zeros((1, 2, 2), np.int32)}
    assert not np.any(blind_spot_loss(flat, flat, unmasked=flat, **given))


@pytest.mark.parametrize(
    "change, words",
    [
        ({"noisy": X[:, :2]}, r"noisy must have shape \(3, 4, 6, 2\)"),
        ({"choices": CHOICES[:2]}, r"choices must have shape \(3, 2, 3\)"),
        ({"masked_of_sub": MASKED_OF_SUB[:, :, :2]}, "masked_of_sub must have shape"),
        ({"where": np.ones(2)}, r"where must have shape \(3,\)"),
        ({"strength": -1.0}, "strength must be at least 0"),
    ],
)
def test_bad_input(change, words):
    given = {"outputs": OUTPUTS, "noisy": X, **GIVEN, **change}
    with pytest.raises(InputError, match=words) as told:
        blind_spot_loss(**given)
    assert "\n" not in str(told.value)
    with pytest.raises(InputError, match="factor must divide"):
        random_subsample(jax.random.key(0), X, factor=5)
