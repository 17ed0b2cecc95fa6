"""Denoisers in closed form: limits, blocks, permuted pixels, Gaussian data."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.diagnostics.denoising import (
    ddim_sample,
    denoising_agreement,
    fit_wiener,
    local_denoise,
    local_masks,
    optimal_denoise,
    wiener_denoise,
    wiener_filter,
)

RNG = np.random.default_rng(0)
MIX = RNG.normal(size=(5, 5))
DATA = RNG.normal(size=(23, 5)) @ MIX + 1
X = RNG.normal(size=(4, 5))
A = 0.6


def wiener(data, x, a):
    return wiener_denoise(fit_wiener({"image": data}), {"x": x, "alpha": a})


def local(data, x, a, threshold=0.3, **more):
    masks = local_masks(fit_wiener({"image": data}), a, threshold=threshold)
    return local_denoise(data, masks, x, a, **more)


def weights_of(d, a):
    w = np.exp(-(d - d.min()) / (2 * (1 - a)))
    return w / w.sum()


def test_loops_over_pixels_give_the_same():
    @jax.jit
    def run(data, x):
        fitted = fit_wiener({"image": data})
        masks = local_masks(fitted, A, threshold=0.3)
        soft = local_masks(fitted, A, threshold=0.0)
        return (
            wiener_denoise(fitted, {"x": x, "alpha": A}),
            wiener_filter(fitted, A),
            optimal_denoise(data, x, A),
            (masks, soft),
            local_denoise(data, masks, x, A, temperature=2.0),
            local_denoise(data, soft, x, A, transposed=True),
        )

    linear, k, optimal, (masks, soft), local, other = run(DATA, X)
    values, vectors = np.linalg.eigh(np.cov(DATA.T))
    wanted = vectors @ np.diag(A * values / (1 - A + A * values)) @ vectors.T
    np.testing.assert_allclose(k, wanted, rtol=1e-9, atol=1e-12)
    mean = DATA.mean(axis=0)
    np.testing.assert_allclose(
        linear, X / np.sqrt(A) @ wanted.T + mean - wanted @ mean, rtol=1e-9, atol=1e-11
    )
    plain = np.abs(wanted / np.diagonal(wanted)[:, None])
    np.testing.assert_allclose(soft, plain, rtol=1e-9)
    np.testing.assert_array_equal(masks, plain >= 0.3 * plain.max())
    assert 0 < masks.sum() < 25
    for b, x in enumerate(X):
        d = (x - np.sqrt(A) * DATA) ** 2
        np.testing.assert_allclose(optimal[b], weights_of(d.sum(1), A) @ DATA)
        for p in range(5):
            w = weights_of(d @ masks[p] / 2, A)
            np.testing.assert_allclose(local[b, p], w @ DATA[:, p], rtol=1e-9)
            w = weights_of(d @ plain[:, p], A)
            np.testing.assert_allclose(other[b, p], w @ DATA[:, p], rtol=1e-9)


def test_masks_of_ones_are_the_optimal_denoiser_whatever_the_block():
    @jax.jit
    def run(data, x):
        ones = jnp.ones((5, 5))
        blocks = [optimal_denoise(data, x, A, block=b) for b in (1, 7, 512)]
        return blocks, [local_denoise(data, ones, x, A, block=b) for b in (1, 7, 64)]

    found = [y for part in run(DATA, X) for y in part]
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=1e-10)


def test_permuted_pixels_are_denoised_alike():
    order = RNG.permutation(5)

    @jax.jit
    def run(data, x):
        three = wiener, optimal_denoise, local
        one = [f(data, x, A) for f in three]
        return one, [f(data[:, order], x[:, order], A) for f in three]

    for one, other in zip(*run(DATA, X), strict=True):
        np.testing.assert_allclose(other, one[:, order], rtol=1e-9)


def test_with_and_without_noise():
    near = DATA[3:7] + 1e-9

    @jax.jit
    def run(data, x):
        clean = [wiener(data, x, 1.0), optimal_denoise(data, near, 1.0)]
        return clean, [f(data, x, 0.0) for f in (wiener, optimal_denoise, local)]

    (linear, nearest), means = run(DATA, X)
    np.testing.assert_allclose(linear, X, atol=1e-6)
    np.testing.assert_allclose(nearest, DATA[3:7], rtol=1e-9)
    for mean, f in zip(means, ("linear", "optimal", "local"), strict=True):
        # Without a signal every example explains the noise as well.
        wanted = np.broadcast_to(DATA.mean(axis=0), mean.shape)
        np.testing.assert_allclose(mean, wanted, rtol=1e-9, err_msg=f)


@pytest.mark.full
def test_of_much_gaussian_data_the_optimal_denoiser_is_the_linear_one():
    data = RNG.normal(size=(200_000, 2)) @ MIX[:2, :2]
    x = RNG.normal(size=(4, 2))
    found = jax.jit(lambda d: (optimal_denoise(d, x, 0.5), wiener(d, x, 0.5)))(data)
    np.testing.assert_allclose(*found, atol=0.02)


def test_shifted_data_have_a_shifted_filter():
    rows = np.stack([np.roll(DATA[0], i) for i in range(5)])
    data = np.concatenate([rows, rows[:, ::-1] * 0.5])
    k = np.asarray(jax.jit(lambda d: wiener_filter(fit_wiener({"image": d}), A))(data))
    np.testing.assert_allclose(np.roll(k, (1, 1), (0, 1)), k, rtol=1e-8, atol=1e-10)


def test_samples_of_one_example_are_it_and_agree_with_it():
    one = jnp.ones((1, 2, 3))
    denoise = lambda x, a: optimal_denoise(one, x, a)
    found = jax.jit(lambda: ddim_sample(denoise, jax.random.key(0), (2, 2, 3)))()
    np.testing.assert_allclose(found, np.ones((2, 2, 3)))
    x, y = RNG.normal(size=(2, 3, 4))
    share = np.mean(1 - ((x - y) ** 2).mean(1) / y.var(1))
    np.testing.assert_allclose(denoising_agreement(x, y), share, rtol=1e-9)


def test_derivatives_are_finite_and_right():
    def total(x, a):
        return jnp.sum(jnp.sin(local(DATA, x, a, block=7) + wiener(DATA, x, a)))

    @jax.jit
    def run(x, a):
        slope = jax.grad(total, argnums=(0, 1))(x, a)
        step = 1e-6
        ends = total(x, a + step), total(x, a - step)
        return slope, (ends[0] - ends[1]) / (2 * step)

    slope, measured = run(X, A)
    np.testing.assert_allclose(slope[1], measured, rtol=1e-5)
    assert np.isfinite(slope[0]).all()


@pytest.mark.parametrize(
    "run, words",
    [
        (lambda: fit_wiener({"x": DATA}), "data must be a dict with 'image'"),
        (lambda: fit_wiener({"image": DATA[0]}), r"data must be \(N, ...\)"),
        (
            lambda: fit_wiener({"image": DATA}, where=jnp.ones(2)),
            r"where must have shape \(23,\)",
        ),
        (lambda: wiener(DATA, X[:, :2], A), "x has 2 features, the data 5"),
        (lambda: optimal_denoise(DATA[:0], X, A), "data has no examples"),
        (lambda: optimal_denoise(DATA, X[:, :2], A), "x has 2 features, the data 5"),
        (lambda: optimal_denoise(DATA, X, A, block=0), "block must be a whole number"),
        (
            lambda: local_denoise(DATA, jnp.ones((2, 2)), X, A),
            r"masks must have shape \(5, 5\)",
        ),
        (
            lambda: ddim_sample(lambda x, a: x, jax.random.key(0), (1,), steps=2000),
            "steps must be at most the number of alphas",
        ),
        (lambda: denoising_agreement(X, X[:1]), "differ"),
    ],
)
def test_bad_input(run, words):
    with pytest.raises(InputError, match=words) as told:
        run()
    assert "\n" not in str(told.value)
