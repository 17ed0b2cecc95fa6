"""Swing convolutions: windows of the reflected input, in any network."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.shifted_window import shifted_window
from jaxopt_lab.layers import swing_conv
from jaxopt_lab.quantize import swinging

X = np.random.default_rng(0).normal(size=(2, 4, 5, 3))
KERNEL = np.random.default_rng(1).normal(size=(3, 3, 3, 2))
SHIFTS = np.array(list(itertools.product(range(3), repeat=2)))
ONES = jnp.ones(3)
DIMENSIONS = ("NHWC", "HWIO", "NHWC")


def windows():
    padded = np.pad(X, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    return np.stack([padded[:, a : a + 4, b : b + 5] for a, b in SHIFTS])


def convolved(params, x):
    y = jax.lax.conv_general_dilated(
        x, params, (2, 2), "SAME", dimension_numbers=DIMENSIONS
    )
    # Not swung: it has no stride.
    return y, jax.lax.conv_general_dilated(
        x, params, (1, 1), "SAME", dimension_numbers=DIMENSIONS
    )


def test_each_offset_is_the_convolution_of_its_window_and_draws_are_uniform():
    layer = swing_conv(3, out=2, use_bias=False)
    params, keys = {"kernel": KERNEL}, jax.random.split(jax.random.key(0), 900)
    swung = swinging(convolved)

    @jax.jit
    def run(x, moved):
        given = lambda shift: layer.apply(params, {}, (x, shift), train=True)[0]
        drawn = lambda key: layer.apply(params, {}, x, train=True, key=key)[0]
        still = [layer.apply(params, {}, x, train=t)[0] for t in (True, False)]
        own = jax.vmap(lambda key: swung(key, KERNEL, x))(keys)
        wanted = jax.vmap(lambda x: convolved(KERNEL, x)[0])(moved)
        each = jax.vmap(given)(jnp.asarray(SHIFTS))
        return each, wanted, jax.vmap(drawn)(keys), still, own, convolved(KERNEL, x)[1]

    each, wanted, drawn, still, (strided, unswung), plain = run(X, windows())
    np.testing.assert_allclose(each, wanted, rtol=1e-12, atol=1e-12)
    assert each.shape[1:] == (2, 2, 3, 2)
    for y in still:
        np.testing.assert_allclose(y, wanted[4], rtol=1e-12, atol=1e-12)
    for found in (drawn, strided):
        near = np.abs(np.asarray(found)[:, None] - np.asarray(wanted)[None])
        near = np.max(near, axis=(2, 3, 4, 5)) < 1e-10
        counts = np.sum(near, axis=0)
        assert np.all(np.sum(near, 1) == 1)
        assert np.all(np.abs(counts - 100) <= 5 * np.sqrt(100))
    np.testing.assert_allclose(unswung[7], plain, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "make, words",
    [
        (
            lambda: shifted_window(jnp.ones((1, 2)), jnp.array([1]), [0]),
            "more than 1 pos",
        ),
        (lambda: shifted_window(ONES, jnp.array([3]), [0]), r"to 2; got \[3\]"),
        (
            lambda: shifted_window(ONES, jnp.array([1, 1]), [0]),
            "must be 1 whole",
        ),
        (
            lambda: swinging(lambda p, x: x)(jax.random.key(0), {}, X),
            "no convolution with a stride",
        ),
        (lambda: swing_conv(3, reach=-1), "reach must"),
        (
            lambda: swing_conv(3).apply({"kernel": KERNEL}, {}, X[0], train=True),
            "swing_conv takes images",
        ),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(InputError, match=words) as told:
        make()
    assert "\n" not in str(told.value)
