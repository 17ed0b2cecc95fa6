"""K-means: Lloyd's sweeps, and starts for lines and for points."""
# Its examples wait for pytest --full.

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxopt_lab.core import trees


def lloyd(
    points: jax.Array, centres: jax.Array, where: jax.Array, sweeps: int
) -> jax.Array:
    """Centres moved to the mean of the points nearest to them, again and again.

    A centre without points stays. Equal points are met exactly: a centre moves by the
    mean distance of its points, which is 0 then.

    Args:
      points: ``(points, axes)``.
      centres: first centres, ``(centres, axes)``.
      where: points that count, ``(points,)``.
      sweeps: number of sweeps.

    Returns:
      The centres after them. Memory: points x centres x axes.

    >>> points = jnp.array([[0.0], [1.0], [5.0]])
    >>> lloyd(points, points[:2], jnp.full(3, True), 3).tolist()
    [[0.5], [5.0]]
    """
    numbers = jnp.arange(len(centres))

    def sweep(_: jax.Array, centres: jax.Array) -> jax.Array:
        near = nearest_centre(points, centres)
        member = (near[:, None] == numbers[None]) & where[:, None]
        member = member.astype(points.dtype)
        shift = member.T @ (points - centres[near])
        return centres + trees.safe_divide(shift, jnp.sum(member, axis=0)[:, None])

    return jax.lax.fori_loop(0, sweeps, sweep, centres)


def nearest_centre(points: jax.Array, centres: jax.Array) -> jax.Array:
    """Number of the nearest centre of every point; of equals, the first."""
    return jnp.argmin(jnp.sum((points[:, None] - centres[None]) ** 2, axis=-1), axis=-1)


def line_start(values: jax.Array, where: jax.Array, count: int) -> jax.Array:
    """Quantiles of the distinct values: all of them, if there are no more than asked.

    Args:
      values: finite, ``(values,)``.
      where: values that count.
      count: number of centres.

    Returns:
      ``(count,)``, ascending; zeros if no value counts.

    >>> values = jnp.array([2.0, 7.0, 2.0, 2.0])
    >>> line_start(values, jnp.full(4, True), 2).tolist()
    [2.0, 7.0]
    """
    ordered = jnp.sort(jnp.where(where, values, jnp.inf))
    new = jnp.concatenate([jnp.full(1, True), ordered[1:] != ordered[:-1]])
    new = new & jnp.isfinite(ordered)
    place = jnp.where(new, jnp.cumsum(new) - 1, len(values))
    distinct = jnp.zeros_like(values).at[place].set(ordered, mode="drop")
    last = jnp.sum(new)
    index = (2 * jnp.arange(count) + 1) * last // (2 * count)
    return distinct[index]


def spread_start(key: jax.Array, points: jax.Array, count: int) -> jax.Array:
    """K-means++: each next centre a point drawn by its squared distance to the others.

    Args:
      key: of the draws.
      points: ``(points, axes)``.
      count: number of centres.

    Returns:
      ``(count, axes)``.

    >>> points = jnp.array([[0.0], [0.0], [5.0]])
    >>> sorted(spread_start(jax.random.key(0), points, 2).tolist())
    [[0.0], [5.0]]
    """
    keys = jax.random.split(key, count)
    first = points[jax.random.randint(keys[0], (), 0, len(points))]
    centres = jnp.broadcast_to(first, (count, *first.shape))

    def draw(number: jax.Array, centres: jax.Array) -> jax.Array:
        # The places still free hold the first centre, which changes no distance.
        apart = jnp.sum((points[:, None] - centres[None]) ** 2, axis=-1)
        drawn = jax.random.categorical(keys[number], jnp.log(jnp.min(apart, axis=1)))
        return centres.at[number].set(points[drawn])

    return jax.lax.fori_loop(1, count, draw, centres)
