"""Distances between the rows of two arrays and nearest rows, in blocks of rows."""
# Its examples wait for pytest --full.

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.trees import accumulation_dtype, safe_sqrt
from jaxopt_lab.core.typing import PyTree

# Candidates beyond the number of neighbours asked for.
_SPARE = 8
# Distances at a time, 4 MB in float32: more leave the cache of a processor.
_AT_A_TIME = 2**20


class Neighbours(NamedTuple):
    """The nearest points of each query, from near to far.

    Attributes:
      distances: ``(queries, k)``, Euclidean; infinite where fewer than ``k`` points
        count.
      indices: ``(queries, k)`` int32, of points; of equal distances the lowest first.
    """

    distances: jax.Array
    indices: jax.Array


def squared_distances(a: jax.Array, b: jax.Array) -> jax.Array:
    r"""Squared Euclidean distances between the rows of two arrays.

    .. math:: D_{ij} = \max(0, |a_i|^2 + |b_j|^2 - 2 a_i \cdot b_j),

    after both are shifted by the mean of ``b``, so that a common offset costs no
    digits: the error is of the order of the machine epsilon times the squared norms
    that are left, also where two rows are equal.

    Args:
      a: ``(n, features)``, real.
      b: ``(m, features)``, real.

    Returns:
      ``(n, m)`` in float32, float64 for float64. Finite derivatives everywhere; 0 with
      respect to pairs that the maximum cuts.

    Raises:
      InputError: the arrays are no matrices, complex or of different widths.

    Memory: the result; one product of matrices. The gradient is another one.

    >>> a = jnp.array([[0.0, 0.0], [3.0, 4.0]])
    >>> squared_distances(a, a[:1]).tolist()
    [[0.0], [25.0]]
    """
    a, b = _as_matrices(a, b)
    center = jax.lax.stop_gradient(b.mean(axis=0, keepdims=True))
    a, b = a - center, b - center
    products = jnp.matmul(a, b.T, precision=jax.lax.Precision.HIGHEST)
    squares = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1)[None, :]
    return jnp.maximum(squares - 2 * products, 0)


def euclidean_distances(a: jax.Array, b: jax.Array) -> jax.Array:
    """Euclidean distances between the rows of two arrays.

    Args:
      a: ``(n, features)``, real.
      b: ``(m, features)``, real.

    Returns:
      ``(n, m)``; the square roots of :func:`squared_distances`, with the derivative 0
      where the distance is 0.

    Raises:
      InputError: as :func:`squared_distances`.
    """
    return safe_sqrt(squared_distances(a, b))


def map_row_blocks(
    fn: Callable[[PyTree], PyTree], rows: PyTree, *, block: int = 1024
) -> PyTree:
    """Apply a function to the rows of arrays, ``block`` rows at a time.

    Args:
      fn: from arrays of ``block`` rows to arrays of ``block`` rows; each row of the
        result depends on its own row alone (and on what ``fn`` closes over).
      rows: a tree of arrays with one common leading axis.
      block: number of rows at a time, at least 1.

    Returns:
      ``fn(rows)``. At most ``block`` rows of what ``fn`` makes in between are in memory
      at a time, in the gradient too, which computes them again (one more forward pass).
      As many rows as fit in one block take no loop.

    Raises:
      InputError: ``block`` is below 1, or there are no rows.

    >>> points = jnp.arange(10.0).reshape(5, 2)
    >>> farthest = lambda rows: squared_distances(rows, points).max(axis=1)
    >>> map_row_blocks(farthest, points, block=2).tolist()
    [128.0, 72.0, 32.0, 72.0, 128.0]
    """
    leaves = jax.tree.leaves(rows)
    if block < 1:
        raise InputError(f"block must be at least 1, got {block}")
    count = leaves[0].shape[0] if leaves else 0
    if count == 0:
        raise InputError("rows must have at least one row, got none")
    if count <= block:
        return fn(rows)
    blocks = -(-count // block)
    pad = blocks * block - count

    def split(x: jax.Array) -> jax.Array:
        if pad:
            # Rows that are repeated, not zeros: a function may divide by a row's norm.
            x = jnp.concatenate([x, jnp.broadcast_to(x[-1:], (pad, *x.shape[1:]))])
        return x.reshape(blocks, block, *x.shape[1:])

    out = jax.lax.map(jax.checkpoint(fn), jax.tree.map(split, rows))
    return jax.tree.map(lambda y: y.reshape(-1, *y.shape[2:])[:count], out)


def nearest(
    queries: jax.Array,
    points: jax.Array,
    k: int,
    *,
    where: jax.Array | None = None,
    pairs: Callable[[jax.Array], jax.Array] | None = None,
    exclude_same_index: bool = False,
    block: int = 1024,
) -> Neighbours:
    """The ``k`` nearest points of each query, by Euclidean distance.

    Args:
      queries: ``(queries, features)``, real.
      points: ``(points, features)``, real.
      k: number of neighbours, static.
      where: ``(points,)`` booleans, points that count; ``None``: all.
      pairs: from numbers of queries, ``(b,)``, to the points that count for each of
        them, ``(b, points)`` booleans; ``None``: all.
      exclude_same_index: a query is not its own neighbour; queries and points are then
        the same array.
      block: queries at a time, at most; at most ``block x points`` distances are in
        memory, and no more than 4 MB of them where a query has less.

    Returns:
      The neighbours. Distances are those of the differences, so that points with
      identical rows are at identical distances; of points at one distance those of the
      lowest indices are taken, also where the ``k``-th place divides them.
      Differentiable in the distances (0 at 0), with the choice held constant. NaN where
      a query, or any point that counts, is no number.

    Raises:
      InputError: as :func:`squared_distances`, or there are fewer than ``k`` points.

    Cost: a product of matrices finds ``k + 8`` candidates, those nearest when its error
    is taken at its bound. Where points beyond them may be as near as the ``k``-th (many
    equal points), the differences of that query to all points are taken, one query
    after another. Memory: the distances of a block, ``k + 8`` differences a query of
    it.

    >>> points = jnp.array([[0.0], [1.0], [5.0]])
    >>> near = nearest(points, points, 1, exclude_same_index=True)
    >>> near.indices[:, 0].tolist(), near.distances[:, 0].tolist()
    ([1, 0, 1], [1.0, 1.0, 4.0])
    """
    queries, points = _as_matrices(queries, points)
    available = points.shape[0] - exclude_same_index
    if not 1 <= k <= available:
        raise InputError(
            f"k must be from 1 to {available}, the points there are; got {k}"
        )
    if exclude_same_index and queries.shape[0] != points.shape[0]:
        raise InputError(
            "exclude_same_index=True takes the same queries and points, got "
            f"{queries.shape[0]} and {points.shape[0]}"
        )
    if where is not None:
        # What does not count may be NaN, and the shift by the mean is over all points.
        points = jnp.where(where[:, None], points, 0)
    numbers = jnp.arange(len(points))

    def counted(squares: jax.Array, own: jax.Array) -> jax.Array:
        """Infinite where a point does not count."""
        shape = (1,) * own.ndim + (-1,)
        if where is not None:
            squares = jnp.where(where.reshape(shape), squares, jnp.inf)
        if pairs is not None:
            allowed = pairs(own.reshape(-1)).reshape(squares.shape)
            squares = jnp.where(allowed, squares, jnp.inf)
        if exclude_same_index:
            same = own[..., None] == numbers.reshape(shape)
            squares = jnp.where(same, jnp.inf, squares)
        return squares

    center = jax.lax.stop_gradient(points.mean(axis=0, keepdims=True))
    shifted = jax.lax.stop_gradient(points) - center
    targets = _Targets(points, center, shifted, jnp.square(shifted).sum(axis=1))
    find = functools.partial(_nearest_of_block, targets, k, counted)
    rows = min(block, max(_AT_A_TIME // len(points), 1))
    return map_row_blocks(find, (queries, jnp.arange(len(queries))), block=rows)


class _Targets(NamedTuple):
    """Points; their mean, what is left without it, and the squared norms of that."""

    points: jax.Array
    center: jax.Array
    shifted: jax.Array
    squares: jax.Array


def _nearest_of_block(
    targets: _Targets,
    k: int,
    counted: Callable[[jax.Array, jax.Array], jax.Array],
    rows: tuple[jax.Array, jax.Array],
) -> Neighbours:
    queries, own = rows
    squares, indices = _chosen(
        *jax.lax.stop_gradient((queries, targets)), own, k, counted
    )
    differences = queries[:, None, :] - jnp.take(targets.points, indices, axis=0)
    exact = safe_sqrt((differences * differences).sum(axis=-1))
    exact = jnp.where(jnp.isfinite(squares), exact, squares)
    order = jnp.lexsort((indices, jax.lax.stop_gradient(exact)), axis=1)
    return Neighbours(
        distances=jnp.take_along_axis(exact, order, axis=1),
        indices=jnp.take_along_axis(indices, order, axis=1),
    )


def _chosen(
    queries: jax.Array,
    targets: _Targets,
    own: jax.Array,
    k: int,
    counted: Callable[[jax.Array, jax.Array], jax.Array],
) -> tuple[jax.Array, jax.Array]:
    """Squared distances and indices of the nearest, of equal ones the lowest index."""
    points = targets.points
    count, features = points.shape
    # A bound for the rounding errors of the product and of the differences together.
    kept = 1 - (4 * features + 16) * float(jnp.finfo(points.dtype).eps)
    shifted = queries - targets.center
    products = jnp.matmul(
        shifted, targets.shifted.T, precision=jax.lax.Precision.HIGHEST
    )
    # Least squared distances, without what all points of a query have in common.
    least = counted(kept * targets.squares[None, :] - 2 * products, own)
    taken = min(count, k + _SPARE)
    least, candidates, nan = _smallest(least, taken)
    differences = queries[:, None, :] - jnp.take(points, candidates, axis=0)
    squares = jnp.square(differences).sum(axis=-1)
    negative, places = jax.lax.top_k(-jnp.where(jnp.isinf(least), jnp.inf, squares), k)
    squares, indices = -negative, jnp.take_along_axis(candidates, places, axis=1)
    nan = nan | jnp.isnan(shifted).any(axis=1)
    squares = jnp.where(nan[:, None], jnp.nan, squares)
    if taken == count:
        return squares, indices
    # All points that are no candidates are at least as far away as this.
    beyond = least.max(axis=1) + kept * jnp.square(shifted).sum(axis=1)
    settled = nan | jnp.isinf(beyond) | (beyond > squares[:, -1])

    def settle(carry: Any) -> Any:
        settled, squares, indices = carry
        i = jnp.argmin(settled)
        differences = queries[i][None, :] - points
        exact = counted(jnp.square(differences).sum(axis=-1), own[i])
        negative, chosen = jax.lax.top_k(-exact, k)
        return (
            settled.at[i].set(True),
            squares.at[i].set(-negative),
            indices.at[i].set(chosen),
        )

    unsettled = lambda carry: ~carry[0].all()
    _, squares, indices = jax.lax.while_loop(
        unsettled, settle, (settled, squares, indices)
    )
    return squares, indices


def _smallest(values: jax.Array, count: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The smallest entries of each row, as ``top_k`` chooses them, by their places.

    ``top_k`` of a long row is slow on a CPU. The ``count`` smallest entries, of equal
    ones the first, lie in the ``count`` groups of neighbouring entries whose minima are
    smallest: another group comes after ``count`` entries, the minima of these.

    Returns:
      The entries and their places, ``(rows, count)``, by place, and whether a row has a
      NaN.
    """
    rows, columns = values.shape
    size = max(math.isqrt(columns // count), 1)
    whole = columns - columns % size
    groups = values[:, :whole].reshape(rows, whole // size, size)
    rest = values[:, whole:]
    # Not of the minima: some that XLA makes on a CPU forget a NaN.
    nan = jnp.isnan(values).any(axis=1)
    places = jnp.broadcast_to(jnp.arange(columns), values.shape)
    if size > 1:
        _, best = jax.lax.top_k(-groups.min(axis=2), count)
        best = jnp.sort(best, axis=1)[:, :, None]
        places = (size * best + jnp.arange(size)[None, None, :]).reshape(rows, -1)
        values = jnp.take_along_axis(groups, best, axis=1).reshape(rows, -1)
        last = jnp.broadcast_to(jnp.arange(whole, columns), rest.shape)
        places = jnp.concatenate([places, last], axis=1)
        values = jnp.concatenate([values, rest], axis=1)
    negative, chosen = jax.lax.top_k(-values, count)
    places = jnp.take_along_axis(places, chosen, axis=1)
    places, values = jax.lax.sort((places, -negative), dimension=1, num_keys=1)
    return values, places, nan


def _as_matrices(a: Any, b: Any) -> tuple[jax.Array, jax.Array]:
    a, b = jnp.asarray(a), jnp.asarray(b)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise InputError(
            "distances take two matrices with as many columns, got shapes "
            f"{a.shape} and {b.shape}"
        )
    if b.shape[0] == 0 or a.shape[0] == 0:
        raise InputError(
            f"distances of an empty set, got shapes {a.shape} and {b.shape}"
        )
    if any(jnp.issubdtype(x.dtype, jnp.complexfloating) for x in (a, b)):
        raise InputError(f"distances take real arrays, got {a.dtype} and {b.dtype}")
    dtype = jnp.promote_types(accumulation_dtype(a.dtype), accumulation_dtype(b.dtype))
    return a.astype(dtype), b.astype(dtype)
