"""Residual codes against loops in NumPy, and their exact properties."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.layers import (
    bit_rate,
    decode_residual_codes,
    quantization_penalty,
    residual_vector_quantize,
    residual_vector_quantizer,
)

RNG = np.random.default_rng(0)
X = 2 * RNG.normal(size=(3, 5, 4))
BOOKS = RNG.normal(size=(2, 3, 6, 2))  # groups, stages, codes, width
WHERE = RNG.uniform(size=(3, 5)) > 0.3


def by_loops(x, books, beta):
    """Output, codes, losses of positions, and gradients of their weighted mean."""
    groups, stages, _, width = books.shape
    out, codes = np.zeros_like(x), np.zeros((*x.shape[:-1], groups, stages), int)
    losses, to_x, to_books = np.zeros(x.shape[:-1]), 0 * x, 0 * books
    total = WHERE.sum()
    for at in np.ndindex(*x.shape[:-1]):
        for g in range(groups):
            part = slice(g * width, (g + 1) * width)
            rest = x[at][part]
            for i in range(stages):
                k = np.argmin(((books[g, i] - rest) ** 2).sum(-1))
                gap = rest - books[g, i, k]
                losses[at] += (1 + beta) * np.sum(gap**2)
                to_x[at][part] += WHERE[at] * 2 * beta * gap / total
                to_books[g, i, k] -= WHERE[at] * 2 * gap / total
                out[at][part] += books[g, i, k]
                codes[at][g, i], rest = k, gap
    return out, codes, losses, to_x, to_books


def test_loops():
    @jax.jit
    def run(x, books):
        quantize = lambda x, b: residual_vector_quantize(
            x, b, commitment=0.4, where=jnp.asarray(WHERE)
        )
        found = quantize(x, books)
        slopes = jax.grad(lambda *a: quantize(*a).loss, argnums=(0, 1))(x, books)
        of_y = jax.grad(lambda *a: jnp.sum(x * quantize(*a).out), argnums=(0, 1))
        return found, slopes, of_y(x, books), decode_residual_codes(found.codes, books)

    found, slopes, of_y, decoded = run(X, BOOKS)
    out, codes, losses, to_x, to_books = by_loops(X, BOOKS, 0.4)
    np.testing.assert_array_equal(found.codes, codes)
    np.testing.assert_allclose(found.out, out, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(decoded, out, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(found.loss, losses[WHERE].mean(), rtol=1e-12)
    np.testing.assert_allclose(slopes[0], to_x, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(slopes[1], to_books, rtol=1e-10, atol=1e-14)
    # Straight through: the cotangent of y, bit for bit; none to the tables.
    np.testing.assert_array_equal(of_y[0], X)
    assert not np.any(of_y[1])


def test_more_stages():
    """With 0 in every table no stage enlarges a residual; without, one can."""
    with_zero = BOOKS[0].copy()
    with_zero[:, 0] = 0
    far = np.full((1, 1, 2), 9.0)
    x = X[..., :2]

    @jax.jit
    def gaps(x, books):
        each = [residual_vector_quantize(x, books[:n]).out for n in (1, 2, 3)]
        again = residual_vector_quantize(each[0], books[:1])
        moved = residual_vector_quantize(x, jnp.asarray(far)).out
        norm = lambda y: jnp.sum((x - y) ** 2, axis=-1)
        return [norm(x - x), *map(norm, each)], again.out - each[0], norm(moved)

    (_, *norms), fixed, moved = gaps(x, with_zero)
    sizes = [np.sum(x**2, axis=-1), *map(np.asarray, norms)]
    for before, after in itertools.pairwise(sizes):
        assert np.all(after <= before * (1 + 1e-12))
    assert np.all(moved > sizes[0])
    # One stage: the code of a code is the code.
    assert not np.any(fixed)


def test_layer_counts_the_positions_of_all_devices():
    layer = residual_vector_quantizer(4, stages=2, size=5, param_dtype=jnp.float64)
    x = np.concatenate([X, X[:1]])
    mask = jnp.array([True, False, True, True])

    @jax.jit
    def run(key):
        params, state = layer.init(key)
        whole = layer.apply(params, state, x, train=True, mask=mask)
        one = lambda x, m: layer.apply(
            params, state, x, train=True, axis_name="data", mask=m
        )
        halves = jax.vmap(one, axis_name="data")(
            x.reshape(2, 2, 5, 4), mask.reshape(2, 2)
        )
        wanted = residual_vector_quantize(
            jnp.asarray(x[np.array([0, 2, 3])]), params["codebooks"]
        )
        return whole, halves, wanted, quantization_penalty({"a": whole[1]})

    whole, halves, wanted, penalty = run(jax.random.key(0))
    np.testing.assert_allclose(penalty, wanted.loss, rtol=1e-12)
    each = halves[1]["quantization_penalty"]
    np.testing.assert_allclose(each, [penalty, penalty], rtol=1e-12)
    np.testing.assert_allclose(np.asarray(whole[0])[[0, 2, 3]], wanted.out, rtol=1e-12)
    assert not np.any(whole[0][1])


def test_bits_and_refusals():
    assert bit_rate(50, stages=2, size=16, groups=3) == 1200
    with pytest.raises(InputError, match=r"last axis of x must be 2 \* 2"):
        residual_vector_quantize(jnp.ones((3, 5)), jnp.asarray(BOOKS))
    with pytest.raises(InputError, match="codebooks must be"):
        residual_vector_quantize(jnp.ones((3, 5)), jnp.ones((2, 5)))
    with pytest.raises(InputError, match="groups must divide the 4 features"):
        residual_vector_quantizer(4, groups=3)
    with pytest.raises(InputError, match="do not fit codebooks"):
        decode_residual_codes(jnp.zeros((3, 1, 2), int), jnp.asarray(BOOKS))
