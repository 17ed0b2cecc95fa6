"""Mark-Evaluate: quality and diversity from counts of marked and recaptured points."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxopt_lab.core.neighbours import nearest
from jaxopt_lab.core.options import COUNT, check_arguments
from jaxopt_lab.metrics.sets import Estimate, ball_counts, check_sets, in_order

SPARE = 4


class MarkEvaluate(NamedTuple):
    """Scores by the estimator of a population's size, 1 where it finds its size.

    Attributes:
      petersen: both sets at once.
      schnabel_quality: the generated points are captured one after another.
      schnabel_diversity: the real points are.
      capture: the maximum of a likelihood of all captures.
    """

    petersen: Estimate
    schnabel_quality: Estimate
    schnabel_diversity: Estimate
    capture: Estimate


class _Side(NamedTuple):
    """One set without repeated rows, with its neighbours and its marks.

    Attributes:
      keep: rows that are the first of their kind.
      size: their number.
      members: neighbours of each row, itself first.
      present: which of the members there are.
      radii: of the balls; minus infinity, no ball, of repeated rows.
    """

    keep: jax.Array
    size: jax.Array
    members: jax.Array
    present: jax.Array
    radii: jax.Array


def mark_evaluate(
    real: ArrayLike,
    generated: ArrayLike,
    *,
    k: Annotated[int, COUNT] = 1,
    key: jax.Array | None = None,
    block: Annotated[int, COUNT] = 1024,
) -> MarkEvaluate:
    r"""Scores of a generated set by mark and recapture (Mark-Evaluate).

    The number of points, :math:`P = |S| + |S'|`, is estimated from counts of points
    within each other's balls (to the k-th neighbour of their own set), as that of a
    population of animals is from marked and recaptured ones; a score is

    .. math:: 1 - \min(1, |\hat P - P| / P).

    Petersen: :math:`\hat P = C M / R`, with the points M that are marked by the real
    balls, those C that the generated balls capture, and those R that are in both.
    Schnabel: the balls of one set capture one after another, each marks its own.
    CAPTURE: the integer of the largest likelihood of all captures.

    Args:
      real: S, ``(n, features)``, real floating.
      generated: S', ``(m, features)``.
      k: neighbour that gives a ball its radius, below both sizes.
      key: not used.
      block: points at a time.

    Returns:
      Four scores in [0, 1]. Repeated rows count in P and nowhere else. The error is the
      change of a score by one animal more or less, ``1 / P``: the resolution, not a
      standard error, which dependent captures do not give. NaN where a number is not
      finite.

    Raises:
      InputError: a set is empty, no matrix or (outside of ``jit``) of equal points, or
        ``k`` is out of range.

    Of identical sets Petersen and Schnabel score 1, CAPTURE a little less, whose
    likelihood has its maximum beside P.

    Cost: three products of matrices of the sizes of the sets, two selections of k,
    ``2 (n + m)`` likelihoods. Memory: ``block`` rows of distances. No gradient.

    Deviations: the public code marks the neighbours of a captured point before it
    counts its recaptures, exchanges the names of quality and diversity, counts captures
    as if both sets were of one size, and looks through 1000 integers only. This follows
    the paper. Samples are captured in the lexicographic order of their coordinates, so
    that their order in the array says nothing.

    Source: Mordido and Meinel, "Mark-Evaluate: Assessing Language Generation using
    Population Estimation Methods", arXiv:2010.04606.

    >>> x = jnp.array([[0.0], [1.0], [2.5]])
    >>> found = mark_evaluate(x, x + 9)
    >>> found.petersen.value.item(), mark_evaluate(x, x).petersen.value.item()
    (0.0, 1.0)
    """
    del key
    check_arguments(mark_evaluate, {"k": k, "block": block})
    x, y, sound = check_sets(real, generated, k)
    x, y = (in_order(s) for s in (x, y))
    size = len(x) + len(y)
    one, two = _side(x, k, block), _side(y, k, block)
    # By real point: the generated balls around it; by generated point: the real ones.
    of_x = ball_counts(x, y, one.radii, two.radii, block=block).of_points
    of_y = ball_counts(y, x, two.radii, one.radii, block=block).of_points
    of_x, of_y = jnp.where(one.keep, of_x, 0), jnp.where(two.keep, of_y, 0)
    number = lambda found: jnp.sum(found > 0, dtype=jnp.int32)
    marked_y, captured_x = number(of_y), number(of_x)
    both = marked_y + captured_x
    wide = lambda n: n.astype(x.dtype)
    petersen = _quotient(
        wide(two.size + captured_x) * wide(one.size + marked_y), wide(both)
    )
    total = jnp.asarray(size, x.dtype)
    quality = _schnabel(two, of_y > 0, jnp.sum(of_x), k, total, one.size)
    diversity = _schnabel(one, of_x > 0, jnp.sum(of_y), k, total, two.size)
    captures = jnp.sum(of_x) + jnp.sum(of_y) + wide((k + 1) * (one.size + two.size))
    estimates = (
        petersen,
        quality,
        diversity,
        most_likely(captures, wide(one.size + two.size), size),
    )
    return scores(estimates, total, sound)


def scores(
    estimates: Sequence[jax.Array], total: jax.Array, sound: jax.Array
) -> MarkEvaluate:
    """Scores of estimates of a population's size.

    Args:
      estimates: one for each score.
      total: the size.
      sound: where it is false the scores are NaN.

    Returns:
      The scores, with the change by one animal as their error.
    """
    error = jnp.where(sound, 1 / total, jnp.nan)

    def score(found: jax.Array) -> Estimate:
        value = 1 - jnp.minimum(1, jnp.abs(found - total) / total)
        return Estimate(jnp.where(sound, value, jnp.nan), error)

    return MarkEvaluate(*map(score, estimates))


def _side(x: jax.Array, k: int, block: int) -> _Side:
    """The set, whose rows are in lexicographic order."""
    count = len(x)
    new = jnp.any(x[1:] != x[:-1], axis=1)
    keep = jnp.pad(new, (1, 0), constant_values=True)
    numbers = jnp.arange(count, dtype=jnp.int32)
    # Some more than k: rounding chooses among points that are equally far, as on
    # a grid; the exact distances of those found put the lowest first.
    wide = min(k + SPARE, count - 1)
    near = nearest(x, x, wide, where=keep, exclude_same_index=True, block=block)
    near = jax.tree.map(lambda v: v[:, :k], near)
    there = jnp.isfinite(near.distances)
    # Of fewer than k others the farthest there is.
    radii = jnp.max(jnp.where(there, near.distances, 0), axis=1)
    members = jnp.concatenate([numbers[:, None], near.indices], axis=1)
    present = jnp.pad(there, ((0, 0), (1, 0)), constant_values=True)
    return _Side(
        keep,
        jnp.sum(keep, dtype=jnp.int32),
        members,
        present & keep[:, None],
        jnp.where(keep, radii, -jnp.inf),
    )


def _schnabel(
    side: _Side,
    marked: jax.Array,
    found: jax.Array,
    k: int,
    total: jax.Array,
    other: jax.Array,
) -> jax.Array:
    """The population by captures one after another, each marked after it is counted."""
    count = len(side.keep)
    order = jnp.arange(count, dtype=side.members.dtype)
    times = jnp.broadcast_to(order[:, None], side.members.shape)
    # A time that never comes.
    late = jnp.zeros_like(order) + count
    first = late.at[side.members].min(jnp.where(side.present, times, count))
    at = lambda values: jnp.take(values, side.members, axis=0)
    again = side.present & (at(marked) | (at(first) < times))
    recaptured = found + jnp.sum(again, dtype=found.dtype)
    captured = found + ((k + 1) * side.size).astype(found.dtype)
    return _quotient(captured * (side.size + other).astype(found.dtype), recaptured)


def most_likely(captures: jax.Array, marked: jax.Array, size: int) -> jax.Array:
    """The most likely population; one of over twice the size scores 0 anyway."""
    p = marked + jnp.arange(2 * size + 1, dtype=captures.dtype)
    occasions = marked
    gamma = jax.scipy.special.gammaln
    rest = occasions * p - captures
    possible = (rest >= 0) & (p <= 2 * size)
    xlogx = lambda v: jax.scipy.special.xlogy(v, v)
    likelihood = gamma(p + 1) - gamma(p - marked + 1)
    likelihood = likelihood + xlogx(jnp.where(possible, rest, 1)) - xlogx(occasions * p)
    best = jnp.argmax(jnp.where(possible, likelihood, -jnp.inf))
    return jnp.take(p, best)


def _quotient(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.where(b > 0, a / jnp.where(b > 0, b, 1), 0)
