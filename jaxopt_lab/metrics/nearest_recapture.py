"""Mark-Evaluate with balls to the nearest neighbour, from whole matrices."""
# Its examples wait for pytest --full.

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxopt_lab.core.neighbours import euclidean_distances
from jaxopt_lab.metrics.mark_recapture import MarkEvaluate, most_likely, scores
from jaxopt_lab.metrics.sets import check_sets, in_order


def nearest_recapture(real: ArrayLike, generated: ArrayLike) -> MarkEvaluate:
    """The scores of points that do not repeat, with balls to the nearest neighbour.

    Args:
      real: ``(n, features)``.
      generated: ``(m, features)``.

    Returns:
      As ``mark_evaluate`` with ``k=1``, from whole matrices and a loop over points.

    >>> x = jnp.array([[0.0], [1.0], [2.5]])
    >>> nearest_recapture(x, x).petersen.value.item()
    1.0
    """
    x, y, sound = check_sets(real, generated, 1)
    x, y = (in_order(s) for s in (x, y))
    total = jnp.asarray(len(x) + len(y), x.dtype)

    def alone(s: jax.Array) -> tuple[jax.Array, jax.Array]:
        own = jnp.eye(len(s), dtype=bool)
        apart = jnp.where(own, jnp.inf, euclidean_distances(s, s))
        return jnp.min(apart, axis=1), jnp.argmin(apart, axis=1)

    (radii_x, near_x), (radii_y, near_y) = alone(x), alone(y)
    apart = euclidean_distances(x, y)
    in_x, in_y = apart <= radii_x[:, None], apart <= radii_y[None]
    wide = lambda mask: jnp.sum(mask, dtype=x.dtype)
    marked, captured = jnp.any(in_x, axis=0), jnp.any(in_y, axis=1)
    both = wide(marked) + wide(captured)
    petersen = (len(y) + wide(captured)) * (len(x) + wide(marked))
    petersen = jnp.where(both > 0, petersen / jnp.maximum(both, 1), 0)

    def one_by_one(marks: jax.Array, near: jax.Array, seen: jax.Array) -> jax.Array:
        def capture(
            t: jax.Array, so_far: tuple[jax.Array, jax.Array]
        ) -> tuple[jax.Array, jax.Array]:
            again, marks = so_far
            pair = jnp.stack([t.astype(near.dtype), near[t]])
            return again + wide(marks[pair]), marks.at[pair].set(True)

        count = jnp.arange(len(near), dtype=jnp.int32)
        start = jnp.zeros((), x.dtype), marks
        (again, _), _ = jax.lax.scan(lambda c, t: (capture(t, c), None), start, count)
        found = seen + again
        captures = (2 * len(near) + seen) * total
        return jnp.where(found > 0, captures / jnp.maximum(found, 1), 0)

    captures = wide(in_x) + wide(in_y) + 2 * total
    estimates = (
        petersen,
        one_by_one(marked, near_y, wide(in_y)),
        one_by_one(captured, near_x, wide(in_x)),
        most_likely(captures, total, len(x) + len(y)),
    )
    return scores(estimates, total, sound)
