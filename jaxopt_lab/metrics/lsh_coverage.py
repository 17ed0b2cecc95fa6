"""Precision and recall of a set by locality-sensitive hashing."""
# Its examples wait for pytest --full.

from __future__ import annotations

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.neighbours import map_row_blocks, nearest
from jaxopt_lab.core.options import COUNT, COUNT_OR_ZERO, POSITIVE, check_arguments
from jaxopt_lab.metrics.hash_tables import (
    Family,
    HashTables,
    bucket_numbers,
    draw_hash_tables,
    hash_codes,
    share_bucket,
)
from jaxopt_lab.metrics.knn_balls import nearest_ball_coverage
from jaxopt_lab.metrics.sets import (
    Estimate,
    check_sets,
    mean_of,
    signed_square,
    squares_and_slack,
)


class LshPrecisionRecall(NamedTuple):
    """The two measures.

    Attributes:
      precision: share of the generated points that the real ones cover.
      recall: share of the real points that the generated ones cover.
    """

    precision: Estimate
    recall: Estimate


def lsh_precision_recall(
    real: ArrayLike,
    generated: ArrayLike,
    *,
    family: Family = "sign",
    k: Annotated[int, COUNT_OR_ZERO] = 3,
    members: Annotated[int, COUNT] = 1,
    tables: Annotated[int, COUNT] = 8,
    bits: Annotated[int, COUNT] = 8,
    width: Annotated[float | None, POSITIVE] = None,
    hashes: HashTables | None = None,
    key: jax.Array | None = None,
    block: Annotated[int, COUNT] = 1024,
) -> LshPrecisionRecall:
    r"""Precision and recall by buckets of hash tables, with or without k-NN balls.

    Both sets, centred by the mean of the real one, fall into buckets, the points of a
    table whose codes are equal. The code is a tuple of :math:`[a \cdot x \ge 0]`, or of
    :math:`\lfloor (a \cdot x + o) / w \rfloor` (the p-stable family), with normal
    :math:`a`. At k = 0 a point is covered if in some table its bucket holds a member of
    the other set. At k > 0 it is if it shares a bucket with a member r and is not
    farther from it than the k-th nearest of the members that share a bucket with r;
    members with fewer than k such mates, outliers, cover nothing.

    Args:
      real: ``(n, features)``, real floating.
      generated: ``(m, features)``.
      family: ``"sign"`` or ``"pstable"``.
      k: neighbour that gives a ball its radius; 0: buckets alone.
      members: how many members must cover a point; at k = 0 in one bucket.
      tables: number of hash tables.
      bits: hyperplanes of each.
      width: w of the p-stable family; ``None``: the root mean square distance of the
        real points from their mean, which is the spread of :math:`a \cdot x`.
      hashes: tables to use; ``None``: they are drawn from the key.
      key: typed PRNG key; not used with ``hashes``.
      block: points at a time.

    Returns:
      Precision and recall in [0, 1], each with the standard error over the points that
      it is a mean of, the tables held fixed. Of identical sets both are 1 at k = 0, and
      at k > 0 where every point has k mates. NaN where a number is not finite.

    Raises:
      InputError: a set is empty, no matrix or (outside of ``jit``) of equal points,
        ``k`` is out of range, there is neither a key nor tables, or the tables are of
        other features.

    Cost: ``tables * bits`` sorts of ``n + m`` numbers; at k > 0 also four products of
    matrices of the sizes of the sets, two selections of k and, for each pair, as many
    comparisons as tables: the result is exact, of as many distances as those of
    ``knn_coverage``.
    Memory: ``block`` rows of distances. No gradient: counts.

    Deviations: text and code of the method could not be obtained; this is a working
    definition of ours from its description.

    Source: "LSH" and "LSH+kNN" precision and recall of generated sets, from a
    description.

    >>> x = jnp.array([[0.0], [1.0], [2.5]])
    >>> options = {"family": "pstable", "width": 4.0, "key": jax.random.key(0)}
    >>> score = lambda y: lsh_precision_recall(x, y, k=0, **options)
    >>> score(x).precision.value.item(), score(x + 9).precision.value.item()
    (1.0, 0.0)
    """
    given = {"family": family, "k": k, "members": members, "tables": tables}
    given |= {"bits": bits, "width": width, "block": block}
    check_arguments(lsh_precision_recall, given)
    x, y, sound = check_sets(real, generated, max(k, 1))
    x, y = jax.lax.stop_gradient((x, y))
    center = jnp.mean(x, axis=0, keepdims=True)
    x, y = x - center, y - center
    hashes = _tables(hashes, key, tables, bits, x)
    spread = jnp.sqrt(jnp.mean(jnp.sum(x * x, axis=1)))
    length = jnp.where(spread > 0, spread, 1) if width is None else width
    codes = hash_codes(jnp.concatenate([x, y]), hashes, family, length)
    buckets = bucket_numbers(codes)
    in_x, in_y = buckets[:, : len(x)], buckets[:, len(x) :]

    def covered(rows: jax.Array, own: jax.Array, base: jax.Array, at: jax.Array):
        if k == 0:
            return jnp.max(_members(own, at), axis=0) >= members
        return _in_balls(rows, own, base, at, k, block) >= members

    share = lambda *sets: mean_of(covered(*sets).astype(x.dtype), sound)
    return LshPrecisionRecall(
        precision=share(y, in_y, x, in_x), recall=share(x, in_x, y, in_y)
    )


def _tables(
    hashes: HashTables | None,
    key: jax.Array | None,
    tables: int,
    bits: int,
    x: jax.Array,
) -> HashTables:
    features = x.shape[1]
    if hashes is None:
        if key is None:
            raise InputError(
                "the hash tables need key= to be drawn from, or hashes=; got neither"
            )
        return draw_hash_tables(key, tables, bits, features, x.dtype)
    planes, shifts = jnp.shape(hashes.planes), jnp.shape(hashes.shifts)
    if any(map(jnp.iscomplexobj, hashes)):
        raise InputError(f"hashes must be real; got {jnp.result_type(*hashes)}")
    if len(planes) != 3 or planes[2] != features or shifts != planes[:2]:
        raise InputError(
            f"hashes must be planes (tables, bits, {features}) and shifts (tables, "
            f"bits); got {planes} and {shifts}"
        )
    return hashes


def _members(own: jax.Array, at: jax.Array) -> jax.Array:
    """By table and point, the members of the other set in its bucket."""
    size = own.shape[1] + at.shape[1]

    def of_table(pair: tuple[jax.Array, jax.Array]) -> jax.Array:
        mine, others = pair
        return jnp.zeros(size, jnp.int32).at[others].add(1)[mine]

    return jax.lax.map(of_table, (own, at))


def _in_balls(
    rows: jax.Array,
    own: jax.Array,
    base: jax.Array,
    at: jax.Array,
    k: int,
    block: int,
) -> jax.Array:
    """Of each row, the members of a set that share a bucket and in whose ball it is."""
    mates = lambda numbers: share_bucket(jnp.take(at, numbers, axis=1), at)
    apart = nearest(
        base, base, k, pairs=mates, exclude_same_index=True, block=block
    ).distances[:, -1]
    radii = jnp.where(jnp.isfinite(apart), apart, -jnp.inf)

    def of_block(given: tuple[jax.Array, jax.Array]) -> jax.Array:
        points, buckets = given
        squares, slack = squares_and_slack(points, base)
        inside = squares - slack <= signed_square(radii)[None]
        both = inside & share_bucket(buckets.T, at)
        return jnp.sum(both, axis=1, dtype=jnp.int32)

    return map_row_blocks(of_block, (rows, own.T), block=block)


def nearest_precision_recall(
    real: ArrayLike, generated: ArrayLike
) -> LshPrecisionRecall:
    """The measures with one bucket and k = 1: those of balls to the nearest neighbour.

    Args:
      real: ``(n, features)``.
      generated: ``(m, features)``.

    Returns:
      Precision and recall.
    """
    found = nearest_ball_coverage(real, generated)
    return LshPrecisionRecall(precision=found.precision, recall=found.recall)
