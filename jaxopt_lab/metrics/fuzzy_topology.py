"""Fuzzy topology impact: quality and diversity from fuzzy neighbourhoods."""
# Its examples wait for pytest --full.

from __future__ import annotations

import math
from typing import Annotated, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.neighbours import map_row_blocks, nearest
from jaxopt_lab.core.options import COUNT, check_arguments
from jaxopt_lab.metrics.knn_balls import nearest_ball_coverage
from jaxopt_lab.metrics.sets import Estimate, check_sets, mean_of, squares_and_slack

STEPS = 64
FLOOR = 1e-3


class FuzzyTopologyImpact(NamedTuple):
    """The two measures.

    Attributes:
      quality: mean impact of the generated points on the topology of the real ones.
      diversity: mean impact of the real points on that of the generated ones.
    """

    quality: Estimate
    diversity: Estimate


class Neighbourhoods(NamedTuple):
    """The fuzzy neighbourhood of each point of a set.

    Attributes:
      rho: distance up to which the membership is 1.
      sigma: length over which it falls beyond.
      radius: distance from which on it is 0.
    """

    rho: jax.Array
    sigma: jax.Array
    radius: jax.Array


def fuzzy_topology_impact(
    real: ArrayLike,
    generated: ArrayLike,
    *,
    k: Annotated[int, COUNT] = 5,
    combine: Literal["union", "max"] = "union",
    include_self: bool = False,
    key: jax.Array | None = None,
    block: Annotated[int, COUNT] = 1024,
) -> FuzzyTopologyImpact:
    r"""Impact of each of two sets on the fuzzy topology of the other (FTI).

    A point y is in the neighbourhood of :math:`x_i` with the membership

    .. math::
        w_i(y) = e^{-\max(0, |x_i - y| - \rho_i) / \sigma_i}
        \text{ where } |x_i - y| \le d_k(i), \text{ else } 0,

    with :math:`d_k(i)` the distance to the k-th nearest other point of its set,
    :math:`\rho_i` the smallest of these distances that is not 0, and :math:`\sigma_i`
    such that the memberships of the k neighbours sum to :math:`\log_2 k`. The impact of
    y is that of the fuzzy union, :math:`1 - \prod_i (1 - w_i(y))`.

    Args:
      real: ``(n, features)``, real floating.
      generated: ``(m, features)``.
      k: number of neighbours, below both sizes.
      combine: ``"union"``, or ``"max"``, the largest membership.
      include_self: a point counts as one of its own k neighbours, as in UMAP: k - 1
        others have memberships that sum to :math:`\log_2 k`.
      key: not used.
      block: points at a time.

    Returns:
      Quality and diversity in [0, 1], each with the standard error over the points that
      it is a mean of; 1 for identical sets. NaN where a number is not finite.

    Raises:
      InputError: a set is empty, no matrix or (outside of ``jit``) of equal points, or
        ``k`` is out of range.

    :math:`\sigma_i` is found by 64 bisections and is at least a thousandth of the mean
    distance of the neighbours (of the whole set where :math:`\rho_i = 0`). At k = 1 it
    is the floor, a membership is 1 or 0, and the measures are precision and recall by
    balls to the nearest neighbour.

    Cost: four products of matrices of the sizes of the sets, two selections of k, as
    many exponentials as pairs. Memory: ``block`` rows of distances. No gradient is
    tested; the choice of neighbours is constant almost everywhere.

    Deviations: the published procedure could not be obtained; this is a working
    definition of ours from its description. umap-learn stops its bisection at 1e-5.

    Source: Mordido, Niedermeier and Meinel, "Assessing Image and Text Generation with
    Topological Analysis and Fuzzy Scores", from its description.

    >>> x = jnp.array([[0.0], [1.0], [2.5], [3.0]])
    >>> apart, same = (fuzzy_topology_impact(x, y, k=2) for y in (x + 9, x))
    >>> apart.quality.value.item(), same.quality.value.item()
    (0.0, 1.0)
    """
    del key
    check_arguments(fuzzy_topology_impact, {"k": k, "combine": combine, "block": block})
    others = k - include_self
    if others < 1:
        raise InputError("include_self=True takes k of at least 2; got 1")
    x, y, sound = check_sets(real, generated, others)
    x, y = jax.lax.stop_gradient((x, y))
    impacts = [
        _impact(judged, base, neighbourhoods(base, others, k, block), combine, block)
        for judged, base in ((y, x), (x, y))
    ]
    return FuzzyTopologyImpact(*(mean_of(impact, sound) for impact in impacts))


def neighbourhoods(x: jax.Array, others: int, k: int, block: int) -> Neighbourhoods:
    r"""The fuzzy neighbourhoods of the points of a set.

    Args:
      x: ``(n, features)``, floating.
      others: neighbours of each.
      k: their memberships sum to :math:`\log_2 k`.
      block: points at a time.

    Returns:
      Shape ``(n,)`` each.

    >>> x = jnp.array([[0.0], [1.0], [3.0]])
    >>> found = neighbourhoods(x, 2, 2, 8)
    >>> found.rho.tolist(), found.radius.tolist()
    ([1.0, 1.0, 2.0], [3.0, 2.0, 3.0])
    """
    apart = nearest(x, x, others, exclude_same_index=True, block=block).distances
    least = jnp.min(jnp.where(apart > 0, apart, jnp.inf), axis=1)
    rho = jnp.where(jnp.isfinite(least), least, 0)
    excess = jnp.maximum(apart - rho[:, None], 0)
    own = jnp.mean(apart, axis=1)
    floor = FLOOR * jnp.where(rho > 0, own, jnp.mean(own))
    if k == 1:
        # log2(1) = 0 is below the membership 1 of the nearest.
        return Neighbourhoods(rho, floor, apart[:, -1])
    target = jnp.asarray(math.log2(k), x.dtype)
    # Were all as far as the farthest, the sum would be reached here.
    share = max(others / math.log2(k), 1 + 1e-6)
    top = jnp.max(excess, axis=1) / jnp.asarray(math.log(share), x.dtype)

    def halve(_: int, ends: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = ends
        middle = (low + high) / 2
        total = jnp.sum(_membership(excess, middle[:, None]), axis=1)
        above = total > target
        return jnp.where(above, low, middle), jnp.where(above, middle, high)

    low, high = jax.lax.fori_loop(0, STEPS, halve, (jnp.zeros_like(top), top))
    return Neighbourhoods(rho, jnp.maximum((low + high) / 2, floor), apart[:, -1])


def _membership(excess: jax.Array, sigma: jax.Array) -> jax.Array:
    """1 without excess, whatever the length; 0 beyond a length of 0."""
    wide = jnp.where(sigma > 0, sigma, 1)
    return jnp.where(excess > 0, jnp.where(sigma > 0, jnp.exp(-excess / wide), 0), 1)


def _impact(
    judged: jax.Array,
    base: jax.Array,
    fuzzy: Neighbourhoods,
    combine: str,
    block: int,
) -> jax.Array:
    """The impact of each point on the fuzzy topology of a set."""

    def of_block(rows: jax.Array) -> jax.Array:
        squares, slack = squares_and_slack(rows, base)
        free = squares - slack
        inside = free <= fuzzy.radius[None] ** 2
        # Equal up to rounding is at no distance, also where rho is 0.
        apart = jnp.sqrt(jnp.where(free > 0, squares, 0))
        excess = jnp.maximum(apart - fuzzy.rho[None], 0)
        w = jnp.where(inside, _membership(excess, fuzzy.sigma[None]), 0)
        if combine == "max":
            return jnp.max(w, axis=1)
        return -jnp.expm1(jnp.sum(jnp.log1p(-w), axis=1))

    return map_row_blocks(of_block, judged, block=block)


def nearest_ball_impact(real: ArrayLike, generated: ArrayLike) -> FuzzyTopologyImpact:
    """The measures at k = 1: precision and recall by balls to the nearest neighbour.

    Args:
      real: ``(n, features)``.
      generated: ``(m, features)``.

    Returns:
      As ``fuzzy_topology_impact`` with ``k=1``.
    """
    found = nearest_ball_coverage(real, generated)
    return FuzzyTopologyImpact(quality=found.precision, diversity=found.recall)
