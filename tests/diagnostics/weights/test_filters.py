"""Filter statistics: the authors' formulas in numpy, shifts, degenerate layers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.diagnostics.weights.filter_quality import filter_quality, random_entropy
from jaxopt_lab.diagnostics.weights.filters import (
    collect_filters,
    filter_basis,
    filter_shift,
    filters_of,
)

quality = jax.jit(filter_quality)
shift = jax.jit(filter_shift, static_argnames="bins")


def gaussian(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape))


def by_hand(kernel, eps=0.01):
    """The measures of the authors' library, on their layout (O, I, 3, 3)."""
    w = np.transpose(np.asarray(kernel), (3, 2, 0, 1))
    rows = w.reshape(-1, 9)
    near_zero = (np.abs(rows) < eps * np.abs(rows).max()).all(axis=1)

    def entropy(x):
        values = np.linalg.svd(x - x.mean(axis=0), compute_uv=False) ** 2
        return scipy.stats.entropy(values, base=10)

    flat = w.reshape(len(w), -1)
    unit = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    apart = np.abs(unit @ unit.T - np.eye(len(w))).sum() / (len(w) * (len(w) - 1))
    return {
        "sparsity": near_zero.mean(),
        "variance_entropy": entropy(rows),
        "relative_entropy": entropy(rows) / random_entropy(len(rows)),
        "clean_entropy": entropy(rows[~near_zero]),
        "orthogonality": 1 - apart,
    }


@pytest.mark.full(plain=["float32-0.0001"])
@pytest.mark.parametrize("dtype, rtol", [(jnp.float64, 1e-11), (jnp.float32, 1e-4)])
def test_quality_by_hand(dtype, rtol):
    kernel = gaussian(0, 3, 3, 4, 6) * jnp.exp(gaussian(1, 1, 1, 4, 6))
    kernel = kernel.at[:, :, 1, 2].multiply(1e-4).at[:, :, 3, 5].multiply(1e-4)
    found = quality(kernel.astype(dtype))
    for name, expected in by_hand(kernel).items():
        got = getattr(found, name)
        assert got.dtype == dtype
        np.testing.assert_allclose(got, expected, rtol=rtol, err_msg=name)
    assert float(found.sparsity) == pytest.approx(2 / 24)
    assert quality(kernel.astype(jnp.bfloat16)).sparsity.dtype == jnp.float32


@pytest.mark.full
def test_untrained_layers_look_random():
    for n in (64, 256, 1024):
        found = quality(gaussian(n, 3, 3, 8, n // 8))
        assert 0.98 < float(found.relative_entropy) < 1.05


@pytest.mark.full
def test_filters_that_are_alike_have_no_entropy():
    one = gaussian(2, 3, 3, 1, 1)
    multiples = one * gaussian(3, 1, 1, 5, 4)
    assert float(quality(multiples).variance_entropy) < 1e-12
    # Equal filters: nothing is left but rounding, which has no directions.
    same = jnp.broadcast_to(one, (3, 3, 5, 4))
    for dtype in (jnp.float32, jnp.float64):
        assert float(quality(same.astype(dtype)).variance_entropy) == 0
    np.testing.assert_allclose(quality(same).orthogonality, 0, atol=1e-12)


def test_all_directions_alike_is_the_largest_entropy():
    corners = np.concatenate([np.eye(9), -np.eye(9)]).reshape(18, 1, 3, 3)
    found = quality(jnp.asarray(corners.transpose(2, 3, 1, 0)))
    np.testing.assert_allclose(found.variance_entropy, np.log10(9), rtol=1e-12)


def test_orthogonal_and_dead_channels():
    q, _ = jnp.linalg.qr(gaussian(4, 18, 5))
    kernel = q.reshape(3, 3, 2, 5)
    np.testing.assert_allclose(quality(kernel).orthogonality, 1, rtol=1e-12)
    # A channel of zeros has no angle with the others.
    dead = kernel.at[..., 2].set(0.0)
    np.testing.assert_allclose(quality(dead).orthogonality, 1, rtol=1e-12)
    assert float(quality(kernel[..., :1]).orthogonality) == 1


@pytest.mark.full
def test_a_layer_of_zeros_and_a_layer_of_one_filter():
    found = quality(jnp.zeros((3, 3, 2, 2)))
    assert (float(found.sparsity), float(found.variance_entropy)) == (1, 0)
    assert float(found.clean_entropy) == 0
    alone = quality(gaussian(5, 3, 3, 1, 1))
    assert float(alone.variance_entropy) == 0
    other = quality(gaussian(6, 5, 5, 2, 2))
    assert np.isnan(float(other.relative_entropy))
    assert np.isfinite(float(other.variance_entropy))


def test_derivatives_of_degenerate_layers_are_finite():
    def total(kernel):
        found = filter_quality(kernel)
        return found.variance_entropy + found.clean_entropy + found.orthogonality

    slope = jax.jit(jax.grad(total))
    one = gaussian(7, 3, 3, 1, 1)
    for kernel in (
        jnp.zeros((3, 3, 2, 2)),
        jnp.broadcast_to(one, (3, 3, 2, 2)),
        gaussian(8, 3, 3, 2, 2).at[..., 0].set(0.0),
    ):
        assert bool(jnp.all(jnp.isfinite(slope(kernel))))


def test_the_filters_are_those_of_the_kernel():
    kernel = gaussian(9, 3, 3, 4, 5)
    rows = {tuple(np.ravel(kernel[:, :, i, o])) for i in range(4) for o in range(5)}
    assert {tuple(np.asarray(row)) for row in filters_of(kernel)} == rows


def test_collecting():
    params = {
        "a": {"kernel": gaussian(0, 3, 3, 2, 4), "bias": jnp.ones(4)},
        "b": {"kernel": gaussian(1, 1, 1, 2, 4)},
        "c": {"kernel": gaussian(2, 3, 3, 4, 2).at[:, :, 0, 0].set(0.0)},
        "d": gaussian(3, 3, 3),
    }
    found = collect_filters(params)
    assert found.shape == (16, 9)
    peaks = np.abs(found).max(axis=1)
    np.testing.assert_allclose(np.sort(peaks), [0] + [1] * 15, rtol=1e-14)
    assert collect_filters(params, (1, 1)).shape == (8, 1)
    only = {"a": True, "b": True, "c": False, "d": True}
    assert collect_filters(params, mask=only).shape == (8, 9)


@pytest.mark.full
@pytest.mark.parametrize("n", [5, 40])
def test_principal_components(n):
    filters = gaussian(10, n, 9) * jnp.arange(1.0, 10)[None] + 3
    basis = filter_basis(filters)
    covariance = np.cov(np.asarray(filters).T)
    values = np.linalg.eigvalsh(covariance)[::-1]
    np.testing.assert_allclose(
        basis.variance_ratio, values / values.sum(), rtol=1e-9, atol=1e-12
    )
    np.testing.assert_allclose(
        basis.components @ basis.components.T, np.eye(9), atol=1e-12
    )
    rotated = np.cov(np.asarray(basis.coefficients(filters)).T)
    np.testing.assert_allclose(rotated, np.diag(np.diag(rotated)), atol=1e-9)
    largest = np.take_along_axis(
        np.asarray(basis.components),
        np.abs(basis.components).argmax(axis=1)[:, None],
        axis=1,
    )
    assert (largest > 0).all()


def shift_by_hand(one, other, bins, limits=None):
    """The formula of the authors' notebook, with numpy and scipy."""
    basis = filter_basis(jnp.concatenate([one, other]))
    sets = [np.asarray(basis.coefficients(x)) for x in (one, other)]
    if limits is None:
        both = np.concatenate(sets)
        limits = (both.min(), both.max())
    total = 0.0
    for i, weight in enumerate(np.asarray(basis.variance_ratio)):
        pair = []
        for values in sets:
            h, _ = np.histogram(values[:, i], range=limits, bins=bins, density=True)
            h[h == 0] = np.finfo(np.float32).eps
            pair.append(h / h.sum())
        p, q = pair
        total += weight * (scipy.stats.entropy(p, q) + scipy.stats.entropy(q, p))
    return total


@pytest.mark.full
@pytest.mark.parametrize("bins, limits", [(70, None), (12, None), (20, (-1.0, 1.5))])
def test_the_shift_by_hand(bins, limits):
    one, other = gaussian(11, 300, 9), 0.7 * gaussian(12, 200, 9) + 0.2
    got = shift(one, other, bins=bins, limits=limits)
    expected = shift_by_hand(one, other, bins, limits)
    np.testing.assert_allclose(got, expected, rtol=1e-10)
    single = shift(
        one.astype(jnp.float32), other.astype(jnp.float32), bins=bins, limits=limits
    )
    assert single.dtype == jnp.float32
    # A value at the edge of a bin may fall on its other side.
    np.testing.assert_allclose(single, expected, rtol=0.05)


@pytest.mark.full
@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.1, 3.0))
def test_shifts_are_symmetric_and_not_negative(seed, scale):
    one, other = gaussian(seed, 50, 4), scale * gaussian(seed + 1, 50, 4)
    there, back = shift(one, other), shift(other, one)
    np.testing.assert_allclose(there, back, rtol=1e-9)
    assert float(there) >= 0
    assert float(shift(one, one)) == 0


@pytest.mark.full
def test_a_common_basis_and_order_of_filters():
    one, other, third = (gaussian(i, 60, 9) for i in (1, 2, 3))
    basis = filter_basis(jnp.concatenate([one, other, third]))
    got = shift(one, other, basis=basis)
    mixed = shift(one[::-1], other[::-1], basis=basis)
    np.testing.assert_allclose(got, mixed, rtol=1e-12)
    assert float(shift(one, one + 0.5, basis=basis)) > float(got) / 2


def test_equal_filters_everywhere():
    same = jnp.ones((5, 9))
    assert float(shift(same, same)) == 0
    assert np.isfinite(float(shift(same, 2 * same)))


@pytest.mark.parametrize(
    "run, words",
    [
        (lambda: filters_of(jnp.ones((3, 3))), r"kernel .* got shape \(3, 3\)"),
        (lambda: filter_quality(jnp.ones((0, 3, 1, 1))), "a convolution's kernel"),
        (
            lambda: filter_quality(jnp.ones((3, 3, 1, 1)), threshold=1.5),
            r"threshold must lie in \[0, 1\]",
        ),
        (lambda: collect_filters({"w": jnp.ones((2, 2))}), r"no kernel .* \(3, 3\)"),
        (lambda: filter_basis(jnp.ones(9)), r"filters must have two axes .* \(9,\)"),
        (
            lambda: filter_shift(jnp.ones((2, 9)), jnp.ones((2, 4))),
            "one number of weights; got 9 and 4",
        ),
        (
            lambda: filter_shift(jnp.ones((2, 9)), jnp.ones((2, 9)), bins=0),
            "bins must be a whole number",
        ),
    ],
)
def test_bad_input(run, words):
    with pytest.raises(InputError, match=words):
        run()
