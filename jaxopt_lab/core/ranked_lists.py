"""Ranked lists of documents: scores, relevances, and discounted gains."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.known_values import known_values
from jaxopt_lab.core.trees import accumulation_dtype


class RankedLists(NamedTuple):
    """Lists without what their padding holds.

    Attributes:
      scores: ``(..., n)``, float32 or float64, 0 in place of padding.
      labels: ``(..., n)``, of the type of the scores, constant, 0 in place of padding.
      valid: ``(..., n)``, booleans.
    """

    scores: jax.Array
    labels: jax.Array
    valid: jax.Array


def ranked_lists(
    scores: jax.Array,
    labels: jax.Array,
    where: jax.Array | None = None,
    *,
    names: tuple[str, str] = ("scores", "labels"),
) -> RankedLists:
    """Scores and relevances of documents, ready to be compared.

    Args:
      scores: ``(..., n)``, real floating.
      labels: ``(..., n)``, relevances, real numbers of at least 0.
      where: ``(..., n)``; 0 drops a document, whatever its score and label are.
      names: of the two, for messages.

    Returns:
      ``RankedLists``.

    Raises:
      InputError: the shapes differ, the scores are not real floating, the labels are
        not real, or (where its value is known) a label is negative.

    >>> scores = jnp.array([1.0, jnp.nan])
    >>> lists = ranked_lists(scores, jnp.array([2, 0]), jnp.array([1, 0]))
    >>> lists.scores.tolist(), lists.valid.tolist()
    ([1.0, 0.0], [True, False])
    """
    kinds = jnp.floating, (jnp.floating, jnp.integer, jnp.bool_)
    for name, x, accepted in zip(names, (scores, labels), kinds, strict=True):
        given = accepted if isinstance(accepted, tuple) else (accepted,)
        if not any(jnp.issubdtype(jnp.result_type(x), kind) for kind in given):
            real = "real floating" if len(given) == 1 else "real"
            raise InputError(f"{name} must be {real} numbers; got {jnp.result_type(x)}")
    shape = jnp.shape(scores)
    for name, x in ((names[1], labels), ("where", where)):
        if x is not None and (jnp.shape(x) != shape or not shape):
            raise InputError(
                f"{name} must have the shape of the {names[0]}, (..., documents); got "
                f"{jnp.shape(x)} and {shape}"
            )
    _refuse_negative(names[1], labels, where)
    wide = accumulation_dtype(jnp.result_type(scores))
    if where is None:
        valid = jnp.ones(shape, bool)
        s, y = jnp.asarray(scores, wide), jnp.asarray(labels).astype(wide)
    else:
        valid = jnp.asarray(where).astype(bool)
        s = jnp.where(valid, jnp.asarray(scores, wide), 0)
        y = jnp.where(valid, jnp.asarray(labels).astype(wide), 0)
    return RankedLists(s, jax.lax.stop_gradient(y), valid)


def _refuse_negative(name: str, labels: jax.Array, where: jax.Array | None) -> None:
    values = known_values(labels)
    counts = None if where is None else known_values(where)
    if values is None or (where is not None and counts is None):
        return
    bad = values < 0 if counts is None else (values < 0) & (counts != 0)
    if bad.any():
        raise InputError(f"{name} must be at least 0; got {values[bad].flat[0]}")


def gains(labels: jax.Array) -> jax.Array:
    r"""Gains of relevances, :math:`2^y - 1`.

    Args:
      labels: floating; above 127 the gain is infinite in float32.

    Returns:
      As the labels.

    >>> gains(jnp.array([0.0, 1.0, 2.0])).tolist()
    [0.0, 1.0, 3.0]
    """
    return jnp.exp2(labels) - 1


def discounts(ranks: jax.Array, top: int | None = None) -> jax.Array:
    r"""Discounts of ranks, :math:`1 / \log_2(1 + r)`.

    Args:
      ranks: floating, at least 1; fractions are allowed.
      top: ranks above it have the discount 0; ``None``: none has.

    Returns:
      As the ranks.

    >>> discounts(jnp.array([1.0, 3.0]), top=2).tolist()
    [1.0, 0.0]
    """
    found = 1 / jnp.log2(1 + ranks)
    return found if top is None else jnp.where(ranks > top, 0, found)


def ideal_gain(labels: jax.Array, top: int | None = None) -> jax.Array:
    """Discounted gain of the documents in the order of their relevance.

    Args:
      labels: ``(..., n)``, floating, at least 0, 0 in place of padding.
      top: documents behind it do not count; ``None``: all count.

    Returns:
      Shape ``(...)``.

    >>> float(ideal_gain(jnp.array([0.0, 2.0])))
    3.0
    """
    return jnp.sum(gains(labels) * discounts(_places(labels), top), axis=-1)


def ranks(lists: RankedLists) -> jax.Array:
    """Ranks by falling score, 1 first; of equal scores the earlier is before.

    Args:
      lists: of ``ranked_lists``.

    Returns:
      Shape ``(..., n)``, of the type of the scores, constant; padding is behind.

    >>> ranks(ranked_lists(jnp.array([0.5, 2.0, 0.5]), jnp.zeros(3))).tolist()
    [2.0, 1.0, 3.0]
    """
    s = jax.lax.stop_gradient(jnp.where(lists.valid, lists.scores, -jnp.inf))
    return _places(s)


def _places(x: jax.Array) -> jax.Array:
    # Counted: pairs are compared anyway, and a sort takes long to compile.
    own, other = x[..., :, None], x[..., None, :]
    count, leading = x.shape[-1], (1,) * (x.ndim - 1)
    earlier = jnp.tri(count, k=-1, dtype=bool).reshape((*leading, count, count))
    before = (other > own) | ((other == own) & earlier)
    return 1 + jnp.sum(before, axis=-1, dtype=jnp.int32).astype(x.dtype)


def itself(lists: RankedLists) -> jax.Array:
    """The pairs of a document and itself.

    Args:
      lists: of ``ranked_lists``.

    Returns:
      Booleans that broadcast to ``(..., n, n)``, with as many axes.

    >>> itself(ranked_lists(jnp.zeros(2), jnp.zeros(2))).tolist()
    [[True, False], [False, True]]
    """
    count, leading = lists.scores.shape[-1], lists.scores.ndim - 1
    return jnp.eye(count, dtype=bool).reshape((1,) * leading + (count, count))
