"""Directions from a training run: the principal components of its snapshots."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxopt_lab.core import loops, trees
from jaxopt_lab.core.checks import check_positive_count
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import Params
from jaxopt_lab.curvature.landscape.direction_algebra import check_like, wide
from jaxopt_lab.curvature.operators import vector_trees


class TrajectoryDirections(NamedTuple):
    """The plane (or line, or space) that holds most of a training run.

    Attributes:
      directions: the principal directions, each a tree like the parameters, unit norm
        over all leaves together, float32 or better, orthogonal to one another.
      origin: the last snapshot, in float32 or better: the point to cut through.
      coordinates: shape ``(snapshots, k)``: of each snapshot along the directions,
        relative to the origin; the last row is 0.
      explained_variance_ratio: shape ``(k,)``: part of the snapshots' variance along
        each direction, largest first; their sum says how much of the run the picture
        shows.
    """

    directions: list[Params]
    origin: Params
    coordinates: Array
    explained_variance_ratio: Array


def trajectory_directions(
    snapshots: list[Params] | Params, num_directions: int = 2
) -> TrajectoryDirections:
    r"""Principal directions of a training run.

    The rows :math:`\theta_t - \theta_T` are centred and their principal components
    taken; they come from the matrix of inner products of the snapshots, n x n, so
    that no flat vector of all parameters is needed.

    Args:
      snapshots: parameters along the run, the last one last: a list of trees, or one
        tree with a leading axis of snapshots. At least ``num_directions + 1``.
      num_directions: k, their number.

    Returns:
      The directions, the last snapshot, and the coordinates of the others.

    Raises:
      InputError: there are too few snapshots, or they do not fit each other.

    Memory: the snapshots in float32 or better, once. In float32 a direction that
    explains less than about 1e-7 of the variance is rounding error.

    Decisions: as the original code, components of the CENTRED rows, unit norm, not
    normalised by filters, and coordinates from the last snapshot. The sign is the one
    that gives the first snapshot a coordinate that is not negative.

    >>> run = [{"w": jnp.array([3.0 - t, 1.0])} for t in range(4)]
    >>> found = trajectory_directions(run, 1)
    >>> found.coordinates[:, 0].round(5).tolist()
    [3.0, 2.0, 1.0, 0.0]

    Reference: as ``normalize_direction``, section 7.
    """
    check_positive_count("num_directions", num_directions)
    if isinstance(snapshots, list):
        for i, one in enumerate(snapshots):
            check_like(one, snapshots[0], f"snapshot {i}")
        stacked = loops.stack(list(snapshots)) if snapshots else {}
    else:
        stacked = snapshots
    lengths = {jnp.shape(x)[:1] for x in jax.tree.leaves(stacked)} or {(0,)}
    if len(lengths) > 1 or lengths == {()}:
        raise InputError("snapshots must have one leading axis of the same length")
    ((count,),) = lengths
    if count <= num_directions:
        raise InputError(
            f"snapshots must be at least num_directions + 1 = {num_directions + 1}; "
            f"got {count}"
        )
    origin = jax.tree.map(lambda x: wide(x[-1]), stacked)
    rows = jax.tree.map(_from_the_last, stacked)
    centred = jax.tree.map(lambda x: x - jnp.mean(x, axis=0, keepdims=True), rows)
    gram = jax.vmap(lambda row: vector_trees.coefficients(centred, row))(centred)
    values, vectors = jnp.linalg.eigh(gram)
    values = jnp.maximum(values, 0)
    order = jnp.argsort(values)[::-1][:num_directions]

    def direction(weights: Array) -> Params:
        unit, _ = vector_trees.unit(vector_trees.combine(weights, centred))
        side = trees.dot(loops.take(rows, 0), unit)
        return vector_trees.scale(jnp.where(side < 0, -1, 1), unit)

    directions = [direction(vectors[:, i]) for i in order]
    along = [vector_trees.coefficients(rows, d) for d in directions]
    ratio = trees.safe_divide(values[order], jnp.sum(values))
    return TrajectoryDirections(
        [_like(d, origin) for d in directions], origin, jnp.stack(along, axis=1), ratio
    )


def _from_the_last(x: Array) -> Array:
    if not trees.is_floating(x):
        # Integer leaves do not move: their entries in a direction are zero.
        return jnp.zeros(x.shape, jnp.float32)
    return wide(x) - wide(x[-1:])


def _like(direction: Params, origin: Params) -> Params:
    return jax.tree.map(lambda d, w: d.astype(w.dtype), direction, origin)
