"""Precision, recall, density and coverage by balls to the k-th neighbour."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxopt_lab.core.neighbours import euclidean_distances, nearest
from jaxopt_lab.core.options import COUNT, check_arguments
from jaxopt_lab.metrics.sets import Estimate, ball_counts, check_sets, mean_of


class KnnCoverage(NamedTuple):
    """The four measures.

    Attributes:
      precision: share of the generated points within a ball of a real one.
      recall: share of the real points within a ball of a generated one.
      density: mean number of real balls around a generated point, over k; it may be
        above 1.
      coverage: share of the real balls with a generated point.
    """

    precision: Estimate
    recall: Estimate
    density: Estimate
    coverage: Estimate


def knn_coverage(
    real: ArrayLike,
    generated: ArrayLike,
    *,
    k: Annotated[int, COUNT] = 5,
    key: jax.Array | None = None,
    block: Annotated[int, COUNT] = 1024,
) -> KnnCoverage:
    r"""Precision, recall, density and coverage of a generated set.

    With :math:`B(x)` the closed ball around a point whose radius is the distance to its
    k-th nearest other point of the same set X (real) or Y (generated),

    .. math::
        P = \frac{1}{|Y|} \sum_y 1[y \in \bigcup_x B(x)], \quad
        R = \frac{1}{|X|} \sum_x 1[x \in \bigcup_y B(y)], \quad
        D = \frac{1}{k |Y|} \sum_{x, y} 1[y \in B(x)], \quad
        C = \frac{1}{|X|} \sum_x 1[B(x) \cap Y \ne \emptyset].

    Args:
      real: X, ``(n, features)``, real floating.
      generated: Y, ``(m, features)``.
      k: neighbour that gives a ball its radius, below both sizes. Of density and
        coverage the paper takes 5, of precision and recall 3.
      key: not used.
      block: points at a time.

    Returns:
      The four, each a value with the standard error over the points that it is a mean
      of. Of identical sets precision, recall and coverage are 1. NaN where a number is
      not finite.

    Raises:
      InputError: a set is empty, no matrix or (outside of ``jit``) of equal points, or
        ``k`` is out of range.

    Cost: four products of matrices of the sizes of the sets, two selections of k.
    Memory: ``block`` rows of distances. No gradient: counts.

    Source: Kynkaanniemi et al., "Improved Precision and Recall Metric for Assessing
    Generative Models", arXiv:1904.06991; Naeem et al., "Reliable Fidelity and Diversity
    Metrics for Generative Models", arXiv:2002.09797.

    >>> x = jnp.array([[0.0], [1.0], [2.0]])
    >>> found = knn_coverage(x, x + 9, k=1)
    >>> found.precision.value.item(), knn_coverage(x, x, k=1).recall.value.item()
    (0.0, 1.0)
    """
    del key
    check_arguments(knn_coverage, {"k": k, "block": block})
    x, y, sound = check_sets(real, generated, k)
    radii = [
        nearest(s, s, k, exclude_same_index=True, block=block).distances[:, -1]
        for s in (x, y)
    ]
    # NaN is in no ball and orders nothing; the result says so by itself.
    of_x = ball_counts(x, y, radii[0], radii[1], block=block)
    of_y = ball_counts(y, x, radii[1], radii[0], block=block)
    share = lambda counts: (counts > 0).astype(x.dtype)
    return KnnCoverage(
        precision=mean_of(share(of_y.of_points), sound),
        recall=mean_of(share(of_x.of_points), sound),
        density=mean_of(of_y.of_points / jnp.asarray(k, x.dtype), sound),
        coverage=mean_of(share(of_x.of_row), sound),
    )


def nearest_ball_coverage(real: ArrayLike, generated: ArrayLike) -> KnnCoverage:
    """The measures with balls to the nearest neighbour, from whole matrices.

    Args:
      real: ``(n, features)``.
      generated: ``(m, features)``.

    Returns:
      As ``knn_coverage`` with ``k=1``.
    """
    x, y, sound = check_sets(real, generated, 1)

    def radii(s: jax.Array) -> jax.Array:
        own = jnp.eye(len(s), dtype=bool)
        return jnp.min(jnp.where(own, jnp.inf, euclidean_distances(s, s)), axis=1)

    apart = euclidean_distances(x, y)
    real_balls = (apart <= radii(x)[:, None]).astype(x.dtype)
    generated_balls = (apart <= radii(y)[None]).astype(x.dtype)
    return KnnCoverage(
        precision=mean_of(jnp.max(real_balls, axis=0), sound),
        recall=mean_of(jnp.max(generated_balls, axis=1), sound),
        density=mean_of(jnp.sum(real_balls, axis=0), sound),
        coverage=mean_of(jnp.max(real_balls, axis=1), sound),
    )
