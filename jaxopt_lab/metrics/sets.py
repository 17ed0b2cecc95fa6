"""Measures of two sets of points: estimates with errors, balls, checks of the sets."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.known_values import known_values
from jaxopt_lab.core.neighbours import map_row_blocks, squared_distances
from jaxopt_lab.core.trees import accumulation_dtype


class Estimate(NamedTuple):
    """A number and its error.

    Attributes:
      value: float32 scalar, float64 for float64 points.
      error: standard error of the mean over the points that are judged, the other set
        held fixed; 0 where all of them agree.
    """

    value: jax.Array
    error: jax.Array


def mean_of(values: jax.Array, sound: jax.Array) -> Estimate:
    """Mean of numbers, one a point, with its standard error.

    Args:
      values: ``(points,)``.
      sound: boolean scalar; where it is false the result is NaN.

    Returns:
      The estimate.

    >>> mean_of(jnp.array([0.0, 1.0, 1.0, 0.0]), jnp.array(True)).value.item()
    0.5
    """
    count = len(values)
    mean = jnp.mean(values)
    var = jnp.sum((values - mean) ** 2) / max(count - 1, 1)
    positive = var > 0
    error = jnp.where(positive, jnp.sqrt(jnp.where(positive, var, 1) / count), 0)
    return Estimate(*(jnp.where(sound, x, jnp.nan) for x in (mean, error)))


def check_sets(
    real: ArrayLike, generated: ArrayLike, k: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Two sets in one floating type, and whether all their numbers are finite.

    Args:
      real: ``(n, features)``.
      generated: ``(m, features)``.
      k: number of neighbours that every point of both must have.

    Returns:
      Both in float32, float64 for float64; a boolean scalar.

    Raises:
      InputError: a set is no matrix of real floating numbers or empty, the widths
        differ, ``k`` is not below the size of a set, or (outside of ``jit``) all points
        of a set are equal.
    """
    sets = []
    for name, x in (("real", real), ("generated", generated)):
        x = jnp.asarray(x)
        if x.ndim != 2 or not jnp.issubdtype(x.dtype, jnp.floating):
            raise InputError(
                f"{name} must be (points, features) of real floating numbers; got "
                f"{x.dtype} of shape {x.shape}"
            )
        if x.shape[0] == 0:
            raise InputError(f"{name} has no points; at least {k + 1} are needed")
        if not 1 <= k < x.shape[0]:
            raise InputError(
                f"k must be from 1 to {x.shape[0] - 1}, the other points of {name}; "
                f"got {k}"
            )
        # A traced value cannot be looked at; there every radius is 0.
        known = known_values(x)
        if known is not None and _all_equal(known):
            raise InputError(f"{name}: all {len(x)} points are equal; none is accepted")
        sets.append(x.astype(accumulation_dtype(x.dtype)))
    a, b = sets
    if a.shape[1] != b.shape[1]:
        raise InputError(
            "real and generated must have as many features; got "
            f"{a.shape[1]} and {b.shape[1]}"
        )
    dtype = jnp.promote_types(a.dtype, b.dtype)
    a, b = a.astype(dtype), b.astype(dtype)
    return a, b, jnp.all(jnp.isfinite(a)) & jnp.all(jnp.isfinite(b))


def in_order(x: jax.Array) -> jax.Array:
    """The rows in the lexicographic order of their numbers.

    Args:
      x: ``(n, features)``.

    Returns:
      The same rows; one sort of ``n`` numbers a feature.

    >>> in_order(jnp.array([[2.0, 1.0], [1.0, 3.0], [1.0, 2.0]])).tolist()
    [[1.0, 2.0], [1.0, 3.0], [2.0, 1.0]]
    """

    def by_column(
        order: jax.Array, column: jax.Array
    ) -> tuple[jax.Array, jax.Array | None]:
        found = jnp.argsort(jnp.take(column, order, axis=0), stable=True)
        return jnp.take(order, found.astype(order.dtype), axis=0), None

    first = jnp.arange(len(x), dtype=jnp.int32)
    order, _ = jax.lax.scan(by_column, first, x.T, reverse=True)
    return jnp.take(x, order, axis=0)


def _all_equal(x: np.ndarray) -> bool:
    return bool(np.all(x == x[:1]))


class BallCounts(NamedTuple):
    """Numbers of pairs within a ball, by row.

    Attributes:
      of_points: of each row, the points in whose ball it is.
      of_row: of each row, the points within its ball.
    """

    of_points: jax.Array
    of_row: jax.Array


def ball_counts(
    rows: jax.Array,
    points: jax.Array,
    row_radii: jax.Array,
    point_radii: jax.Array,
    *,
    block: int = 1024,
) -> BallCounts:
    r"""Counts of the pairs whose distance is at most the radius of one of the two.

    Args:
      rows: ``(n, features)``, floating.
      points: ``(m, features)``, of the same type.
      row_radii: ``(n,)``, of the balls around the rows; minus infinity: no ball.
      point_radii: ``(m,)``, of those around the points.
      block: rows at a time.

    Returns:
      The counts, ``(n,)`` each, in the type of the points.

    Balls are closed, and wide by the rounding error of the squared distances,
    :math:`8 \epsilon (|a|^2 + |b|^2)` about the mean of the points: the neighbour that
    gives a ball its radius is within it.

    Memory: ``block x m`` distances. No gradient: counts are constant almost everywhere.

    >>> x = jnp.array([[0.0], [1.0], [5.0]])
    >>> ball_counts(x, x, jnp.ones(3), jnp.zeros(3)).of_row.tolist()
    [2.0, 2.0, 1.0]
    """
    rows, points = jax.lax.stop_gradient((rows, points))

    def count(given: tuple[jax.Array, jax.Array]) -> BallCounts:
        x, radii = given
        squares, slack = squares_and_slack(x, points)
        free = squares - slack
        total = lambda inside: jnp.sum(inside, axis=1, dtype=x.dtype)
        return BallCounts(
            total(free <= signed_square(point_radii)[None]),
            total(free <= signed_square(radii)[:, None]),
        )

    return map_row_blocks(count, (rows, row_radii), block=block)


def squares_and_slack(
    rows: jax.Array, points: jax.Array
) -> tuple[jax.Array, jax.Array]:
    r"""Squared distances of two sets, and the rounding error that they may have.

    Args:
      rows: ``(n, features)``, floating.
      points: ``(m, features)``, of the same type.

    Returns:
      ``(n, m)`` each; the error is :math:`8 \epsilon (|a|^2 + |b|^2)` about the mean of
      the points.

    >>> x = jnp.array([[0.0], [2.0]])
    >>> squares, slack = squares_and_slack(x, x)
    >>> squares.tolist(), bool(slack.max() < 1e-5)
    ([[0.0, 4.0], [4.0, 0.0]], True)
    """
    center = points.mean(axis=0, keepdims=True)
    of_rows, of_points = (jnp.sum((x - center) ** 2, axis=1) for x in (rows, points))
    eps = jnp.asarray(8 * float(jnp.finfo(rows.dtype).eps), rows.dtype)
    slack = eps * (of_rows[:, None] + of_points[None])
    return squared_distances(rows, points), slack


def signed_square(radii: jax.Array) -> jax.Array:
    """Squares of radii; minus infinity, of no ball, stays.

    Args:
      radii: floating.

    Returns:
      The squares with the signs of the radii.
    """
    return radii * jnp.abs(radii)
