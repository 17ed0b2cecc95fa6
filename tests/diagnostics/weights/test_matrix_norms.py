"""Norms and entropy of activations: parity, bounds, zeros."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import vectors

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.diagnostics.weights.matrix_norms import (
    column_norm_sum,
    matrix_entropy,
    normalise_tokens,
    nuclear_norm,
    token_matrix_metrics,
)

CASES = vectors.cases("matrix_nuclear_norm")
metrics = jax.jit(token_matrix_metrics, static_argnames="top")


def load(name):
    with np.load(vectors.VECTORS / "matrix_nuclear_norm" / f"{name}.npz") as file:
        arrays = {key: file[key] for key in file.files}
    return json.loads(str(arrays.pop("meta"))), arrays


def gaussian(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape))


def test_there_are_cases():
    assert CASES == ["low_rank", "tall", "top_D", "wide"]


@pytest.mark.full(plain=["wide"])
@pytest.mark.parametrize("name", CASES)
def test_parity(name):
    meta, arrays = load(name)
    x = jnp.asarray(arrays["X"])
    np.testing.assert_allclose(
        normalise_tokens(x), arrays["normalised"], rtol=1e-11, atol=1e-15
    )
    ours = metrics(x, top=meta["D"])
    for field, theirs in (
        ("column_norm_sum", "mnn"),
        ("column_norm_sum_per_token", "mnn_per_token"),
        ("nuclear_norm", "nuclear_exact"),
        ("entropy", "entropy"),
    ):
        np.testing.assert_allclose(getattr(ours, field), arrays[theirs], rtol=1e-11)


@pytest.mark.parametrize("name", ["low_rank", "tall", "wide"])
def test_the_default_number_of_columns_is_theirs(name):
    _, arrays = load(name)
    x = jnp.asarray(arrays["X"])
    np.testing.assert_allclose(metrics(x).column_norm_sum, arrays["mnn"], rtol=1e-11)


@pytest.mark.full
@pytest.mark.parametrize("name", CASES)
def test_float32(name):
    meta, arrays = load(name)
    ours = metrics(jnp.asarray(arrays["X"], jnp.float32), top=meta["D"])
    assert all(value.dtype == jnp.float32 for value in ours)
    for value, theirs in zip(
        ours, ("nuclear_exact", "mnn", "mnn_per_token", "entropy"), strict=True
    ):
        np.testing.assert_allclose(value, arrays[theirs], rtol=1e-4)
    half = metrics(jnp.asarray(arrays["X"], jnp.bfloat16), top=meta["D"])
    assert half.entropy.dtype == jnp.float32


def test_the_sum_of_column_norms_is_far_off_at_low_rank():
    _, arrays = load("low_rank")
    found = metrics(jnp.asarray(arrays["X"]))
    assert float(found.column_norm_sum / found.nuclear_norm) > 2


@pytest.mark.full
@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_bounds(seed):
    draw = np.random.default_rng(seed)
    matrix = draw.normal(size=(6, 5)) @ np.diag(draw.exponential(size=5))
    matrix = jnp.asarray(matrix)
    nuclear = float(nuclear_norm(matrix))
    frobenius = float(jnp.linalg.norm(matrix))
    assert frobenius <= nuclear * (1 + 1e-12)
    assert nuclear <= float(column_norm_sum(matrix)) * (1 + 1e-12)
    assert 0 <= float(matrix_entropy(matrix)) <= 1 + 1e-12


def test_equality_for_orthogonal_columns():
    columns, _ = jnp.linalg.qr(gaussian(0, 7, 4))
    scaled = columns * jnp.array([[3.0, 1.0, 0.0, 2.0]])
    np.testing.assert_allclose(nuclear_norm(scaled), 6, rtol=1e-13)
    np.testing.assert_allclose(column_norm_sum(scaled), 6, rtol=1e-13)
    np.testing.assert_allclose(column_norm_sum(scaled, 2), 5, rtol=1e-13)


@pytest.mark.full
def test_known_entropies():
    assert float(matrix_entropy(jnp.ones((5, 3)))) < 1e-12
    np.testing.assert_allclose(matrix_entropy(jnp.eye(5)[:, :5]), 1, rtol=1e-14)
    # Two equal directions of four: ln 2 / ln 4.
    half = jnp.eye(4) * jnp.array([[1.0, 1.0, 0.0, 0.0]])
    np.testing.assert_allclose(matrix_entropy(half), 0.5, rtol=1e-14)
    assert float(matrix_entropy(jnp.zeros((3, 2)))) == 0
    assert float(matrix_entropy(jnp.ones((3, 1)))) == 0


def test_a_token_that_is_the_mean_is_no_nan():
    x = gaussian(1, 6, 3)
    x = jnp.concatenate([x - jnp.mean(x, axis=0, keepdims=True), jnp.zeros((1, 3))])
    found = metrics(x)
    assert all(bool(jnp.isfinite(value)) for value in found)
    # The other tokens are what they are without it, and so is the entropy.
    np.testing.assert_allclose(found.entropy, metrics(x[:-1]).entropy, rtol=1e-10)


def test_zeros_have_finite_derivatives():
    def total(x):
        return sum(token_matrix_metrics(x))

    gradient = jax.jit(jax.grad(total))
    for x in (jnp.zeros((4, 3)), jnp.eye(3), jnp.ones((4, 3))):
        assert bool(jnp.all(jnp.isfinite(gradient(x))))


@pytest.mark.full
def test_derivatives():
    x, toward = gaussian(2, 6, 4), gaussian(3, 6, 4)

    def total(x):
        return sum(token_matrix_metrics(x))

    slope = jnp.sum(jax.grad(total)(x) * toward)
    h = 1e-6
    central = (total(x + h * toward) - total(x - h * toward)) / (2 * h)
    np.testing.assert_allclose(slope, central, rtol=1e-7)


@pytest.mark.parametrize(
    "run, words",
    [
        (lambda: nuclear_norm(jnp.ones(3)), r"matrix must have two .* \(3,\)"),
        (lambda: normalise_tokens(jnp.ones((0, 3))), r"activations must have two"),
        (lambda: column_norm_sum(jnp.eye(2), 0), "top must be a whole number"),
        (lambda: column_norm_sum(jnp.eye(2), 3), "top must be at most .* 2; got 3"),
    ],
)
def test_bad_input(run, words):
    with pytest.raises(InputError, match=words):
        run()
