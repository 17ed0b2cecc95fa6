"""Masked convolutions: no pixel sees itself; images on coarser grids."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import (
    batch_to_space,
    blind_spot_conv,
    centre_mask,
    masked_conv,
    space_to_batch,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 6, 5, 2))
FIRST = {size: RNG.normal(size=(size, size, 2, 3)) for size in (3, 5)}
LATER, LAST = RNG.normal(size=(2, 3, 3, 3, 3)), RNG.normal(size=(1, 1, 3, 2))


def loops(x, kernel, dilation):
    reach = dilation * (kernel.shape[0] // 2)
    around = np.pad(x, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    y = np.zeros((*x.shape[:3], kernel.shape[-1]))
    for i, j in np.ndindex(kernel.shape[:2]):
        window = around[:, i * dilation :, j * dilation :][:, : x.shape[1]]
        y += window[:, :, : x.shape[2]] @ kernel[i, j]
    return y


def test_loops_and_entries_that_do_not_count():
    kernel, mask = FIRST[3].copy(), RNG.random((3, 3)) > 0.4
    hidden = np.where(mask[..., None, None], kernel, np.nan)
    kernel[~mask] = 0
    convolve = jax.jit(masked_conv, static_argnames="dilation")
    for dilation in (1, 2):
        found = convolve(X, hidden, mask, dilation=dilation)
        np.testing.assert_allclose(found, loops(X, kernel, dilation), atol=1e-13)
    whole = convolve(X, FIRST[3], np.ones((3, 3, 2, 3)))
    np.testing.assert_array_equal(whole, convolve(X, FIRST[3], None))


@pytest.mark.parametrize("size", [3, 5])
def test_a_network_behind_a_masked_kernel_does_not_see_its_own_pixel(size):
    dilation, x = size // 2 + 1, X[0, :, :4, :]

    def network(x, mask):
        y = jnp.tanh(masked_conv(x[None], FIRST[size], mask))
        for kernel in LATER:
            y = y + jnp.tanh(masked_conv(y, kernel, dilation=dilation))
        return masked_conv(y, LAST)[0]

    slopes = jax.jit(jax.jacrev(network))
    own = "hwchwd->hwcd"
    blind = np.asarray(slopes(x, centre_mask(size)))
    assert not np.any(np.einsum(own, blind)) and np.any(blind)
    seeing = slopes(x, np.ones((size, size), bool))
    assert np.all(np.any(np.einsum(own, seeing), axis=(2, 3)))
    # So the squared distance from a noisy image is that from the clean one and the
    # variance of the noise, in expectation.
    j = blind.reshape(x.size, x.size)
    gap = np.sum((j - np.eye(x.size)) ** 2) - np.sum(j**2)
    np.testing.assert_allclose(gap, x.size, rtol=1e-9)


def test_one_tree_of_parameters_for_both_modes():
    layers = {blind: blind_spot_conv(2, out=3, blind=blind) for blind in (True, False)}
    trees = [layer.init(jax.random.key(0)) for layer in layers.values()]
    jax.tree.map(np.testing.assert_array_equal, *trees)
    params = trees[0][0]

    @jax.jit
    def run(params, x):
        total = lambda p, layer: jnp.sum(layer.apply(p, {}, x, train=True)[0] ** 2)
        return {b: jax.grad(total)(params, layer) for b, layer in layers.items()}

    slopes = run(params, X.astype(np.float32))
    assert not np.any(slopes[True]["kernel"][1, 1])
    assert np.all(slopes[False]["kernel"][1, 1] != 0)


def test_coarser_grids_and_back():
    x = RNG.normal(size=(2, 6, 9, 2))
    found = space_to_batch(x, 3)
    for b, i, j in np.ndindex(2, 3, 3):
        np.testing.assert_array_equal(found[b * 9 + i * 3 + j], x[b, i::3, j::3])
    np.testing.assert_array_equal(batch_to_space(found, 3), x)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: masked_conv(X, FIRST[3], np.ones((2, 3))), r"mask must be \(3, 3\)"),
        (lambda: masked_conv(X[..., :1], FIRST[3]), "takes images"),
        (lambda: centre_mask(4), "size must be odd"),
        (lambda: blind_spot_conv(2, size=2), "size must be odd"),
        (lambda: space_to_batch(X, 4), "factor must divide"),
        (lambda: batch_to_space(X, 2), "must divide the examples"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(InputError, match=words) as told:
        call()
    assert "\n" not in str(told.value)
