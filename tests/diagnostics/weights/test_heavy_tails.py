"""FARMS exponents: parity with the official code, aspect ratios, degenerate spectra."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import vectors

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.diagnostics.weights.heavy_tails import (
    farms_blocks,
    farms_eigenvalues,
    layer_spectra,
    layer_spectrum,
)
from jaxopt_lab.diagnostics.weights.power_law import (
    spectrum_metrics,
    squared_singular_values,
)

LINEAR = ("square_gauss", "tall_gauss", "wide_heavy")
CONV = ("conv_q2", "conv_tall")
FIELDS = {
    "alpha": "alpha",
    "D": "distance",
    "spectral_norm": "largest",
    "norm": "total",
    "alpha_hat": "weighted_alpha",
    "stable_rank": "stable_rank",
    "norm_stable_rank": "mean",
    "eigs_num": "count",
}
OPTIONS = ("sampling", "fit", "blocks", "aspect", "rows", "windows", "stride")
spectrum = jax.jit(layer_spectrum, static_argnames=OPTIONS)
metrics = jax.jit(spectrum_metrics, static_argnames=("fit", "name"))


def load(name):
    with np.load(vectors.VECTORS / "farms" / f"{name}.npz") as file:
        arrays = {key: file[key] for key in file.files}
    return json.loads(str(arrays.pop("meta"))), arrays


def gaussian(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape))


def linear_options(meta):
    window = {"rows": meta["rows"], "aspect": meta["Q"]}
    return {
        "full": {"sampling": "full"},
        "fixed": window | {"windows": meta["sampling_ops_per_dim"]},
        "step": window | {"stride": meta["step_size"]},
    }


@pytest.mark.full(plain=["square_gauss-full"])
@pytest.mark.parametrize("way", ["full", "fixed", "step"])
@pytest.mark.parametrize("name", LINEAR)
def test_parity_of_matrices(name, way):
    meta, arrays = load(name)
    weight, options = jnp.asarray(arrays["W"]), linear_options(meta)[way]
    if way == "full":
        eigenvalues = jnp.sort(squared_singular_values(weight))
    else:
        eigenvalues = farms_eigenvalues(weight, **options)
    np.testing.assert_allclose(eigenvalues, arrays[f"{way}/eigs"], rtol=1e-11)
    for fit, rtol in (("median", 1e-10), ("goodness-of-fit", 1e-6)):
        ours = spectrum(weight.T, fit=fit, **options)
        for theirs, field in FIELDS.items():
            # Their distances are computed with ranks in float32.
            loose = 1e-6 if theirs == "D" else rtol
            expected = arrays[f"{way}/{fit}/{theirs}"]
            np.testing.assert_allclose(getattr(ours, field), expected, rtol=loose)


@pytest.mark.full(plain=["conv_q2"])
@pytest.mark.parametrize("name", CONV)
def test_parity_of_convolutions(name):
    meta, arrays = load(name)
    kernel = jnp.asarray(arrays["W_hwio"])
    options = {"aspect": meta["Q"], "blocks": "official"}
    values = farms_blocks(kernel, **options)
    np.testing.assert_allclose(
        meta["conv_norm"] * values, arrays["eigs"], rtol=1e-10, atol=1e-13
    )
    each = [float(metrics(v).alpha) for v in values]
    np.testing.assert_allclose(each, arrays["alpha_each"], rtol=1e-12)
    ours = spectrum(kernel, **options)
    np.testing.assert_allclose(ours.alpha, arrays["alpha"], rtol=1e-12)
    np.testing.assert_allclose(ours.stable_rank, arrays["stable_rank"], rtol=1e-12)


@pytest.mark.full
@pytest.mark.parametrize("name", LINEAR)
def test_float32(name):
    meta, arrays = load(name)
    weight = jnp.asarray(arrays["W"], jnp.float32)
    for way, options in linear_options(meta).items():
        ours = spectrum(weight.T, **options)
        assert ours.alpha.dtype == jnp.float32
        np.testing.assert_allclose(ours.alpha, arrays[f"{way}/median/alpha"], rtol=1e-4)
    assert spectrum(weight.astype(jnp.bfloat16)).alpha.dtype == jnp.float32


@pytest.mark.full
def test_windows_remove_the_bias_of_the_aspect_ratio():
    tall, square = gaussian(0, 50, 200), gaussian(1, 64, 64)
    plain = [float(spectrum(w, sampling="full").alpha) for w in (tall, square)]
    farms = [float(spectrum(w).alpha) for w in (tall, square)]
    # The same law in both: only the shape differs.
    assert plain[0] - plain[1] > 0.8
    assert abs(farms[0] - farms[1]) < 0.05


@pytest.mark.full
def test_blocks_remove_it_for_convolutions():
    tall, square = gaussian(0, 3, 3, 16, 128), gaussian(1, 3, 3, 32, 32)
    plain = [float(spectrum(w, sampling="full").alpha) for w in (tall, square)]
    farms = [float(spectrum(w).alpha) for w in (tall, square)]
    assert plain[0] - plain[1] > 0.8
    assert abs(farms[0] - farms[1]) < 0.15


@pytest.mark.full
@settings(max_examples=8, deadline=None)
@given(
    st.integers(1, 12),
    st.integers(1, 12),
    st.integers(1, 14),
    st.sampled_from([0.5, 1.0, 1.5, 2.0]),
    st.integers(1, 4),
    st.booleans(),
)
def test_windows_lie_inside_and_keep_the_ratio(m, n, rows, aspect, step, stride):
    height = min(rows, m, math.floor(n / aspect))
    width = math.floor(height * aspect)
    options = {"rows": rows, "aspect": aspect}
    options |= {"stride": step} if stride else {"windows": step}
    # The matrix of coordinates: a window of it has rank 1 (or 2), and its squared
    # Frobenius norm says where it lay.
    weight = jnp.sqrt(jnp.arange(m * n, dtype=jnp.float64).reshape(m, n) + 1)
    if height < 1 or width < 1:
        with pytest.raises(InputError, match="has no window"):
            farms_eigenvalues(weight, **options)
        return
    values = farms_eigenvalues(weight, **options)

    def starts(length, window):
        free = length - window
        if stride:
            return list(range(0, free + 1, step))
        jump = max(1, free // max(1, step - 1))
        return [i * jump for i in range(step) if i * jump <= free]

    entries = np.arange(m * n).reshape(m, n) + 1
    places = [(i, j) for i in starts(m, height) for j in starts(n, width)]
    total = sum(entries[i : i + height, j : j + width].sum() for i, j in places)
    assert values.size == len(places) * min(height, width)
    np.testing.assert_allclose(jnp.sum(values), total, rtol=1e-10)


def test_too_many_rows_are_lowered_instead_of_wrapping_around():
    weight = gaussian(2, 20, 30)
    whole = farms_eigenvalues(weight, rows=100, windows=1)
    np.testing.assert_array_equal(whole, farms_eigenvalues(weight, rows=20, windows=1))


@pytest.mark.full
def test_all_blocks_see_the_whole_kernel():
    kernel = gaussian(3, 1, 1, 8, 8)
    squares = float(jnp.sum(kernel**2))
    every = farms_blocks(kernel, aspect=2.0)
    assert every.shape == (2, 4)
    np.testing.assert_allclose(jnp.sum(every), squares, rtol=1e-12)
    official = farms_blocks(kernel, aspect=2.0, blocks="official")
    assert official.shape == (1, 4)
    np.testing.assert_allclose(official, every[:1], rtol=1e-12)
    # Up to Q = 1 there is no difference.
    for aspect in (0.5, 1.0):
        one, two = (
            farms_blocks(kernel, aspect=aspect, blocks=b) for b in ("all", "official")
        )
        np.testing.assert_array_equal(one, two)


def test_the_exponent_is_of_no_scale():
    weight = gaussian(4, 12, 20)
    one, two = spectrum(weight), spectrum(1e3 * weight)
    np.testing.assert_allclose(two.alpha, one.alpha, rtol=1e-10)
    np.testing.assert_allclose(two.distance, one.distance, rtol=1e-9)


@pytest.mark.full
def test_goodness_of_fit_finds_the_true_tail():
    # 300 values of a light body below 1, 700 of a power law above it.
    u = (np.arange(700) + 0.5) / 700
    values = np.concatenate([np.linspace(0.5, 0.99, 300), (1 - u) ** (-1 / 1.5)])
    found = metrics(jnp.asarray(values), "goodness-of-fit")
    np.testing.assert_allclose(found.alpha, 2.5, rtol=0.02)
    np.testing.assert_allclose(found.tail, 700, rtol=0.05)


@pytest.mark.full
def test_zeros_are_left_out():
    values = jnp.asarray(np.random.default_rng(0).pareto(2.0, size=40) + 1)
    padded = jnp.concatenate([values, jnp.zeros(25)])
    for fit in ("median", "goodness-of-fit"):
        one, two = metrics(values, fit), metrics(padded, fit)
        for field in ("alpha", "distance", "xmin", "tail", "count"):
            np.testing.assert_allclose(getattr(two, field), getattr(one, field))


def test_a_matrix_of_low_rank_has_that_many_values():
    low = gaussian(5, 20, 3) @ gaussian(6, 3, 16)
    for dtype in (jnp.float32, jnp.float64):
        assert spectrum(low.astype(dtype), sampling="full").count == 3


def test_degenerate_spectra():
    equal = metrics(jnp.ones(6))
    assert float(equal.alpha) == math.inf
    assert int(equal.tail) == 3
    nothing = metrics(jnp.zeros(6))
    assert math.isnan(float(nothing.alpha))
    assert int(nothing.count) == 0
    assert float(nothing.stable_rank) == 0
    alone = metrics(jnp.array([2.0]), "goodness-of-fit")
    assert int(alone.tail) == 1


@pytest.mark.full
def test_the_derivative_is_right_and_finite():
    weight = gaussian(7, 6, 5)
    alpha = jax.jit(lambda w: layer_spectrum(w, sampling="full").alpha)
    slope = jax.jit(jax.grad(alpha))(weight)
    toward = gaussian(8, 6, 5)
    h = 1e-6
    central = (alpha(weight + h * toward) - alpha(weight - h * toward)) / (2 * h)
    np.testing.assert_allclose(jnp.sum(slope * toward), central, rtol=1e-7)
    values = jnp.array([0.0, 0.0, 1.0, 1.0, 1.0])
    at_equal = jax.grad(lambda v: spectrum_metrics(v).stable_rank)(values)
    assert bool(jnp.all(jnp.isfinite(at_equal)))


@pytest.mark.full
def test_a_tree_of_layers():
    params = {
        "conv": {"kernel": gaussian(0, 3, 3, 8, 8), "bias": jnp.ones(8)},
        "dense": {"kernel": gaussian(1, 12, 12)},
        "nothing": {"kernel": jnp.zeros((0, 3))},
    }
    found = layer_spectra(params)
    assert list(found) == ["conv/kernel", "dense/kernel"]
    alone = layer_spectrum(params["dense"]["kernel"])
    np.testing.assert_array_equal(found["dense/kernel"].alpha, alone.alpha)
    only = layer_spectra(params, mask={"conv": True, "dense": False, "nothing": False})
    assert list(only) == ["conv/kernel"]


@pytest.mark.parametrize(
    "run, words",
    [
        (lambda: farms_eigenvalues(jnp.ones(3)), r"a matrix.*got shape \(3,\)"),
        (lambda: farms_eigenvalues(jnp.ones((2, 2)), aspect=0.0), "aspect must be a"),
        (lambda: farms_eigenvalues(jnp.ones((2, 2)), rows=0), "rows must be a whole"),
        (lambda: farms_eigenvalues(jnp.ones((2, 2)), stride=0), "stride must be a"),
        (lambda: farms_eigenvalues(jnp.ones((2, 2)), windows=0), "windows must be a"),
        (lambda: farms_eigenvalues(jnp.ones((9, 2)), aspect=3.0), "has no window of 3"),
        (lambda: farms_blocks(jnp.ones((2, 2))), "a convolution's kernel"),
        (lambda: farms_blocks(jnp.ones((1, 2, 2)), blocks="al"), "unknown blocks 'al'"),
        (lambda: layer_spectrum(jnp.ones(3)), r"a kernel .* got shape \(3,\)"),
        (lambda: layer_spectrum(jnp.eye(3), sampling="f"), "unknown sampling 'f'"),
        (lambda: spectrum_metrics(jnp.ones(3), "peak"), "unknown fit 'peak'"),
        (lambda: spectrum_metrics(jnp.ones(0)), "eigenvalues must not be empty"),
    ],
)
def test_bad_input(run, words):
    with pytest.raises(InputError, match=words):
        run()
