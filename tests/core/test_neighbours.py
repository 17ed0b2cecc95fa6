"""Blocked distances and nearest neighbours against NumPy and the whole matrix."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.neighbours import (
    _smallest,
    euclidean_distances,
    map_row_blocks,
    nearest,
    squared_distances,
)

RNG = np.random.default_rng(0)
A, B = RNG.normal(1e3, 1.0, (7, 5)), RNG.normal(1e3, 1.0, (9, 5))
B[3] = A[2]


def reference(a, b):
    return np.linalg.norm(a[:, None] - b[None], axis=-1)


def test_distances_of_rows_with_a_common_offset():
    @jax.jit
    def run(a, b):
        squares = squared_distances(a, b)
        total = lambda a, b: euclidean_distances(a, b).sum()
        gradient = jax.grad(total, (0, 1))(a, b)
        return squares, euclidean_distances(a, b), gradient

    squares, distances, gradient = jax.tree.map(np.asarray, run(A, B))
    np.testing.assert_allclose(squares, reference(A, B) ** 2, atol=1e-11)
    np.testing.assert_allclose(distances, reference(A, B), atol=1e-6)
    differences = A[:, None] - B[None]
    lengths = reference(A, B)
    unit = differences / np.where(lengths > 0, lengths, 1)[..., None]
    # The pair of equal rows is 0 up to rounding; either way its derivative is bounded.
    np.testing.assert_allclose(
        gradient[0][[0, 1, 3, 4, 5, 6]], unit.sum(1)[[0, 1, 3, 4, 5, 6]]
    )
    assert all(np.isfinite(g).all() for g in gradient)
    assert squares.dtype == np.float64


def test_float32_and_bfloat16_accumulate_in_float32():
    single = jax.jit(squared_distances)(A.astype(np.float32), B.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, reference(A, B) ** 2, atol=2e-3)
    half = jax.eval_shape(squared_distances, *(jnp.zeros((2, 2), jnp.bfloat16),) * 2)
    assert half.dtype == np.float32


@pytest.mark.parametrize("block", [2, 3, 7, 100])
def test_blocks_of_rows_equal_the_whole_in_value_and_gradient(block):
    def total(a, b, block):
        rows = lambda a: (jnp.exp(-squared_distances(a, b)) * 3).sum(axis=1)
        return (map_row_blocks(rows, a, block=block) ** 2).sum()

    both = jax.jit(
        lambda a, b: [
            jax.value_and_grad(total, (0, 1))(a, b, n) for n in (block, len(A))
        ]
    )
    blocked, whole = both(A - 1e3, B - 1e3)
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-11), blocked, whole
    )


def test_the_memory_of_a_blocked_gradient_is_that_of_a_block():
    points = jax.ShapeDtypeStruct((10_000, 64), jnp.float32)

    def total(a):
        rows = lambda rows: jnp.exp(-squared_distances(rows, a)).sum(axis=1)
        return map_row_blocks(rows, a, block=512).sum()

    compiled = jax.jit(jax.value_and_grad(total)).lower(points).compile()
    assert compiled.memory_analysis().temp_size_in_bytes <= 200e6


def test_nearest_points_are_those_of_a_sort():
    counts = np.array([True] * 8 + [False])
    poisoned = np.where(counts[:, None], B, np.nan)

    @jax.jit
    def run(a, b, poisoned):
        return (
            nearest(a, b, 4, block=3),
            nearest(b, b, 8, exclude_same_index=True),
            nearest(a, poisoned, 9, where=counts),
            jax.grad(lambda a: nearest(a, b, 2, block=3).distances.sum())(a),
        )

    near, itself, masked, gradient = run(A, B, poisoned)
    order = np.argsort(reference(A, B), axis=1, kind="stable")
    np.testing.assert_array_equal(near.indices, order[:, :4])
    np.testing.assert_allclose(
        near.distances, np.sort(reference(A, B), axis=1)[:, :4], rtol=1e-12
    )
    assert near.distances[2, 0] == 0 and near.indices[2, 0] == 3
    own = reference(B, B) + np.where(np.eye(9), np.inf, 0)
    np.testing.assert_array_equal(itself.indices, np.argsort(own, axis=1)[:, :8])
    np.testing.assert_array_equal(
        masked.indices[:, :8], np.argsort(reference(A, B[:8]), 1)
    )
    assert np.isinf(masked.distances[:, 8]).all()
    two = order[:, :2]
    difference = A[:, None] - B[two]
    lengths = np.linalg.norm(difference, axis=-1, keepdims=True)
    expected = (difference / np.where(lengths > 0, lengths, 1)).sum(1)
    np.testing.assert_allclose(gradient, expected, rtol=1e-10)


@pytest.mark.parametrize("columns", [90, 1009])
def test_the_smallest_of_long_rows_are_those_of_a_stable_sort(columns):
    # Many equal entries, also at the last place, and rows with less than 11 finite.
    values = RNG.integers(0, 40, (8, columns)).astype(np.float32)
    values[4:6] = np.where(RNG.random((2, columns)) < 5 / columns, 1.0, np.inf)
    values[6, 3], values[7, -1] = np.nan, np.nan
    found, places, nan = jax.jit(lambda x: _smallest(x, 11))(values)
    expected = np.sort(np.argsort(values[:6], axis=1, kind="stable")[:, :11], axis=1)
    np.testing.assert_array_equal(places[:6], expected)
    np.testing.assert_array_equal(found, np.take_along_axis(values, places, 1))
    assert nan.tolist() == [False] * 6 + [True] * 2


def test_neighbours_among_many_points_are_those_of_a_sort():
    # 600 points on 81 places: the last one is shared for most queries.
    points = RNG.integers(0, 9, (600, 2)).astype(np.float32)
    counts = RNG.random(600) < 0.7
    find = lambda p, c: nearest(p[:40], p, 3, where=c, block=16)
    squares = np.square(points[:40, None] - points[None]).sum(-1)
    squares = np.where(counts, squares, np.inf)
    expected = np.argsort(squares, axis=1, kind="stable")[:, :3]
    near = jax.jit(find)(points, counts)
    np.testing.assert_array_equal(near.indices, expected)
    lengths = np.sqrt(np.take_along_axis(squares, expected, 1))
    np.testing.assert_allclose(near.distances, lengths, rtol=1e-6)


def test_a_query_that_is_no_number_has_distances_that_are_none():
    queries = A.copy()
    queries[1, 2] = np.nan

    @jax.jit
    def run(a, b):
        return euclidean_distances(a, b), nearest(a, b, 2).distances

    for found in run(queries, B):
        assert np.isnan(found[1]).all() and np.isfinite(np.delete(found, 1, 0)).all()


def test_of_equal_points_the_first_comes_first():
    points = np.zeros((4, 2), np.float32)
    near = jax.jit(lambda p: nearest(p, p, 3, exclude_same_index=True))(points)
    assert near.indices.tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]


PLANTED = jax.jit(
    lambda queries, points: (
        nearest(queries, points, 3, block=4),
        nearest(points, points, 3, exclude_same_index=True),
    )
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    points=arrays.arrays(np.int8, (30, 2), elements=st.integers(-2, 2)),
    queries=arrays.arrays(np.int8, (7, 2), elements=st.integers(-2, 2)),
    offset=st.sampled_from([0.0, 1000.0]),
)
def test_of_equal_distances_the_lowest_indices_are_taken(points, queries, offset):
    # Few places for many points: most distances are shared, also at the last place.
    dtype = np.float32
    points, queries = (x.astype(dtype) / 4 + dtype(offset) for x in (points, queries))
    near, itself = PLANTED(queries, points)

    def squares(a, b):
        return np.square(a[:, None] - b[None]).sum(axis=-1, dtype=dtype)

    other = squares(points, points)
    np.fill_diagonal(other, np.inf)
    for found, exact in ((near, squares(queries, points)), (itself, other)):
        order = np.argsort(exact, axis=1, kind="stable")[:, :3]
        np.testing.assert_array_equal(found.indices, order)
        lengths = np.sqrt(np.take_along_axis(exact, order, 1))
        np.testing.assert_allclose(found.distances, lengths, rtol=1e-6)


def test_a_point_that_is_no_number_leaves_no_distance():
    points = np.where(np.arange(30)[:, None] == 4, np.nan, np.ones((30, 2), np.float32))
    near, _ = PLANTED(np.zeros((7, 2), np.float32), points.astype(np.float32))
    assert np.isnan(near.distances).all()


def test_the_memory_of_neighbours_is_that_of_a_block():
    points = jax.ShapeDtypeStruct((10_000, 64), jnp.float32)
    find = lambda p: nearest(p, p, 5, exclude_same_index=True)
    compiled = jax.jit(find).lower(points).compile()
    assert compiled.memory_analysis().temp_size_in_bytes <= 200e6


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: squared_distances(A, B[:, :2]), "as many columns"),
        (lambda: squared_distances(A, B[:0]), "empty set"),
        (lambda: squared_distances(A + 1j, B), "real arrays"),
        (lambda: nearest(A, B, 10), "k must be from 1 to 9"),
        (lambda: nearest(A, A, 7, exclude_same_index=True), "k must be from 1 to 6"),
        (lambda: nearest(A, B, 2, exclude_same_index=True), "the same queries"),
        (lambda: map_row_blocks(jnp.sin, A, block=0), "block must be at least 1"),
        (lambda: map_row_blocks(jnp.sin, A[:0]), "at least one row"),
    ],
)
def test_bad_input_is_one_line(call, message):
    with pytest.raises(InputError, match=message) as raised:
        call()
    assert "\n" not in str(raised.value)
