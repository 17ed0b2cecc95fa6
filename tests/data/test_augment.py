"""Augmentation against loops over images."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.data import compose, flip, pad_crop

KEY = jax.random.key(3)
DTYPES = [np.uint8, np.float32, jnp.bfloat16]


def images(dtype, count=40, shape=(5, 7, 2)):
    values = np.random.default_rng(0).integers(1, 200, (count, *shape))
    return {"image": jnp.asarray(values.astype(dtype)), "label": jnp.arange(count)}


@pytest.mark.full(plain=["3-uint8"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("pad", [1, 3])
def test_pad_crop_is_the_loop(dtype, pad):
    batch = images(dtype)
    got = jax.jit(pad_crop(pad))(KEY, batch)
    offsets = np.asarray(jax.random.randint(KEY, (40, 2), 0, 2 * pad + 1))
    want = np.zeros(batch["image"].shape, dtype)
    for b, (u, v) in enumerate(offsets):
        x = np.pad(np.asarray(batch["image"][b]), ((pad, pad), (pad, pad), (0, 0)))
        want[b] = x[u : u + 5, v : v + 7]
    assert got["image"].dtype == batch["image"].dtype
    np.testing.assert_array_equal(np.asarray(got["image"]), want)
    np.testing.assert_array_equal(got["label"], batch["label"])
    # All offsets occur, in both directions, independently of each other.
    assert all(set(offsets[:, a]) == set(range(2 * pad + 1)) for a in (0, 1))
    assert (offsets[:, 0] != offsets[:, 1]).any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_flip_is_the_loop(dtype):
    batch = images(dtype)
    got = jax.jit(flip())(KEY, batch)["image"]
    mirrored = np.asarray(jax.random.bernoulli(KEY, 0.5, (40,)))
    assert 0 < mirrored.sum() < 40
    for b in range(40):
        want = np.asarray(batch["image"][b])
        want = want[:, ::-1] if mirrored[b] else want
        np.testing.assert_array_equal(np.asarray(got[b]), want)
    assert got.dtype == batch["image"].dtype


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_a_certain_flip(p):
    batch = images(np.uint8)
    want = batch["image"][:, :, ::-1] if p else batch["image"]
    np.testing.assert_array_equal(flip(p)(KEY, batch)["image"], want)


def test_composed_changes_have_keys_of_their_own():
    batch = images(np.uint8)
    got = compose(pad_crop(1), pad_crop(2), flip())(KEY, batch)
    want = batch
    for i, one in enumerate((pad_crop(1), pad_crop(2), flip())):
        want = one(jax.random.fold_in(KEY, i), want)
    np.testing.assert_array_equal(got["image"], want["image"])
    assert compose()(KEY, batch) is batch


@pytest.mark.full
def test_vmap_over_seeds_is_the_loop():
    batch = images(np.float32, 6)
    keys = jax.random.split(KEY, 3)
    change = compose(pad_crop(2), flip())
    together = jax.jit(jax.vmap(lambda key: change(key, batch)["image"]))(keys)
    for s in range(3):
        np.testing.assert_array_equal(together[s], change(keys[s], batch)["image"])


def test_bad_arguments_are_named():
    with pytest.raises(InputError, match="pad=0"):
        pad_crop(0)
    with pytest.raises(InputError, match=r"probability=1.5.*\[0, 1\]"):
        flip(1.5)
    with pytest.raises(InputError, match="no 'image'.*inputs"):
        flip()(KEY, {"inputs": jnp.zeros((2, 3))})
    with pytest.raises(InputError, match=r"\(2, 3\).*\(B, H, W, C\)"):
        pad_crop(1)(KEY, {"image": jnp.zeros((2, 3))})
