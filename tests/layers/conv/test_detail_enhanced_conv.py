"""Difference kernels: folded and apart, their sums, turns of images."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import (
    angular_difference_kernel,
    central_difference_kernel,
    detail_enhanced_conv,
    detail_enhanced_kernel,
    directional_difference_kernel,
    fold_differences,
)

DIRECTIONS = ("horizontal", "vertical")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 5, 4, 2))
W = RNG.normal(size=(3, 3, 3, 2, 3))
TAPS = RNG.normal(size=(2, 3, 2, 3))
PARAMS = {
    "kernel": W[0],
    "central": W[1],
    "angular": W[2],
    "horizontal": TAPS[0],
    "vertical": TAPS[1],
    "bias": RNG.normal(size=3),
}


def loops(x, params, theta):
    """The five convolutions by differences of pixels."""
    around = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    size = lambda i, j: around[:, i : i + x.shape[1], j : j + x.shape[2]]
    pixels = {(i, j): size(i, j) for i, j in np.ndindex(3, 3)}
    y = np.zeros((*x.shape[:3], 3)) + params["bias"]
    clockwise = [(0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0)]
    for place, pixel in pixels.items():
        y += pixel @ params["kernel"][place]
        y += (pixel - pixels[1, 1]) @ params["central"][place]
    for n, place in enumerate(clockwise):
        following = pixels[clockwise[(n + 1) % 8]]
        y += (pixels[place] - theta * following) @ params["angular"][place]
    y += (1 - theta) * pixels[1, 1] @ params["angular"][1, 1]
    for n in range(3):
        y += (pixels[n, 0] - pixels[n, 2]) @ params["horizontal"][n]
        y += (pixels[0, n] - pixels[2, n]) @ params["vertical"][n]
    return y


@pytest.mark.parametrize("theta", [0.0, 0.6, 1.0])
def test_one_convolution_is_the_five(theta):
    layer = detail_enhanced_conv(2, out=3, theta=theta)
    plain = detail_enhanced_conv(2, out=3, differences=False)

    @jax.jit
    def run(params, x):
        y, back = jax.vjp(lambda p, x: layer.apply(p, {}, x, train=True)[0], params, x)
        folded = fold_differences(params, theta=theta)
        z, plain_back = jax.vjp(lambda x: plain.apply(folded, {}, x, train=True)[0], x)
        slopes, slope = back(jnp.cos(y))
        return (y, z), (slope, plain_back(jnp.cos(z))[0]), slopes

    ys, slopes, own = run(PARAMS, X)
    wanted = loops(X, PARAMS, theta)
    for y in ys:
        np.testing.assert_allclose(y, wanted, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(*slopes, rtol=1e-10, atol=1e-12)
    # The output is linear in each kernel: its loops give the derivatives.
    for name in PARAMS:
        zero = {n: np.zeros_like(p) for n, p in PARAMS.items()}
        moved = RNG.normal(size=PARAMS[name].shape)
        along = np.sum(np.cos(wanted) * loops(X, {**zero, name: moved}, theta))
        np.testing.assert_allclose(np.sum(own[name] * moved), along, rtol=1e-10)


def test_differences_have_the_sum_zero_and_answer_no_constant():
    kernels = [
        central_difference_kernel(W[0]),
        angular_difference_kernel(W[1]),
        *(directional_difference_kernel(TAPS[0], direction=d) for d in DIRECTIONS),
    ]
    for kernel in kernels:
        np.testing.assert_allclose(np.sum(kernel, (0, 1)), 0, atol=1e-13)
    np.testing.assert_array_equal(angular_difference_kernel(W[1], theta=0.0), W[1])
    whole = detail_enhanced_kernel(*W, *TAPS)
    np.testing.assert_allclose(np.sum(whole, (0, 1)), np.sum(W[0], (0, 1)), rtol=1e-12)


def test_a_quarter_turn_swaps_horizontal_and_vertical():
    across, down = (
        directional_difference_kernel(TAPS[0], direction=d) for d in DIRECTIONS
    )
    np.testing.assert_array_equal(np.rot90(across), -down)
    np.testing.assert_array_equal(np.rot90(np.rot90(down)), -np.flip(down, axis=1))


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: central_difference_kernel(TAPS[0]), r"kernel must be \(3, 3, in, out"),
        (lambda: detail_enhanced_kernel(*W, *W[:2]), r"taps must be \(3, in, out\)"),
        (
            lambda: directional_difference_kernel(TAPS[0], direction="left"),
            "unknown direction 'left'",
        ),
        (lambda: detail_enhanced_conv(2, theta=-1.0), "theta must be"),
        (
            lambda: detail_enhanced_conv(2).apply(PARAMS, {}, X[0], train=True),
            "detail_enhanced_conv takes images",
        ),
        (lambda: detail_enhanced_conv(2).init(), "pass a key"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(InputError, match=words) as told:
        call()
    assert "\n" not in str(told.value)
