"""Ranks of layers with ordered components: draws, shrinking, slicing, merging."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core.errors import InputError, described
from jaxopt_lab.core.known_values import known_values
from jaxopt_lab.core.numbers import is_whole
from jaxopt_lab.core.options import NON_NEGATIVE, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype, safe_sqrt

Pair = Mapping[str, jax.Array]


def sample_layer_rank(
    key: jax.Array, ranks: Sequence[int]
) -> tuple[jax.Array, jax.Array]:
    """One layer and one of its ranks, each of the pairs with the same probability.

    A layer with more ranks is drawn more often, as in an epoch of the paper's over all
    pairs; here with replacement.

    Args:
      key: of the draw.
      ranks: the full rank of each layer.

    Returns:
      Number of the layer, from 0, and its rank, from 1: whole numbers of 32 bits.

    Raises:
      InputError: there is no layer, or a rank is no whole number of at least 1.

    >>> layer, rank = sample_layer_rank(jax.random.key(0), (1, 1, 1))
    >>> int(rank)
    1
    """
    ends = np.cumsum(_checked(ranks))
    return layer_rank(jax.random.randint(key, (), 0, int(ends[-1])), ranks)


def layer_rank(index: jax.Array, ranks: Sequence[int]) -> tuple[jax.Array, jax.Array]:
    """The pair of a layer and its rank that has a number among all pairs.

    Args:
      index: from 0 to the sum of the ranks, without the end.
      ranks: the full rank of each layer.

    Returns:
      As ``sample_layer_rank``.

    Raises:
      InputError: there is no layer, or a rank is no whole number of at least 1.

    >>> [tuple(map(int, layer_rank(jnp.array(i), (2, 1)))) for i in range(3)]
    [(0, 1), (0, 2), (1, 1)]
    """
    ends = jnp.asarray(np.cumsum(_checked(ranks)), jnp.int32)
    index = jnp.asarray(index, jnp.int32)
    passed = jnp.expand_dims(ends, range(index.ndim)) <= index[..., None]
    layer = jnp.sum(passed, axis=-1, dtype=jnp.int32)
    before = jnp.where(layer > 0, ends[layer - 1], 0)
    return layer, index - before + 1


def one_layer_ranks(
    layer: jax.Array | int, rank: jax.Array | int, ranks: Sequence[int]
) -> jax.Array:
    """The ranks of all layers where one is cut and the others are full.

    Args:
      layer: number of that layer, from 0.
      rank: its rank.
      ranks: the full rank of each layer.

    Returns:
      ``(len(ranks),)``: what goes with the input of each ``ordered_low_rank``.

    Raises:
      InputError: there is no layer, or a rank is no whole number of at least 1.

    >>> one_layer_ranks(1, 2, (4, 3, 4)).tolist()
    [4, 2, 4]
    """
    full = jnp.asarray(_checked(ranks), jnp.int32)
    return jnp.where(jnp.arange(len(ranks)) == layer, rank, full)


def slice_rank(params: Pair, rank: int) -> dict[str, jax.Array]:
    """The first components of a layer, in smaller arrays.

    Args:
      params: ``{"u": (n, r), "v": (r, m)}``.
      rank: how many.

    Returns:
      Parameters of the layer of that rank.

    Raises:
      InputError: there is no such rank.

    >>> pair = {"u": jnp.ones((3, 2)), "v": jnp.ones((2, 4))}
    >>> [leaf.shape for leaf in slice_rank(pair, 1).values()]
    [(3, 1), (1, 4)]
    """
    full = params["u"].shape[-1]
    if not is_whole(rank) or not 1 <= rank <= full:
        raise InputError(f"there is no rank {rank}; accepted: 1 to {full}")
    return {"u": params["u"][:, :rank], "v": params["v"][:rank]}


def shrink_ranks(
    params: Any,
    *,
    threshold: Annotated[float | jax.Array, NON_NEGATIVE] = 1e-5,
    tails: bool = True,
) -> Any:
    r"""Exact zeros in place of components of little weight; the shapes stay.

    .. math:: \|U_{\ge b}\|_F \, \|V_{\ge b}\|_F > \tau \text{ keeps } b

    Args:
      params: nested dicts, with ``{"u": (n, r), "v": (r, m)}`` in one place or more.
      threshold: :math:`\tau`; at 0 what is lost gives 0 anyway. A number or a traced
        scalar.
      tails: the norms of a component and all behind it, so that the first ones are
        kept; else those of each by itself.

    Returns:
      As ``params``. The first component always stays as it is with ``tails``.

    Raises:
      InputError: the threshold is negative, or there are no such layers.

    Works under jit. A component whose factors are both 0 gets no gradient any more.
    The official code keeps a component at equality too, which at 0 would keep all.

    >>> u, v = jnp.array([[1.0, 1e-4]]), jnp.array([[1.0], [1e-4]])
    >>> shrink_ranks({"u": u, "v": v})["u"].tolist()
    [[1.0, 0.0]]
    """
    check_arguments(shrink_ranks, locals())

    def shrunk(pair: Pair) -> Pair:
        kept = _kept(pair, threshold, tails)
        u, v = (
            jnp.where(kept[None], pair["u"], 0),
            jnp.where(kept[:, None], pair["v"], 0),
        )
        return {**pair, "u": u, "v": v}

    return _of_pairs(shrunk, params)


def prune_ranks(
    params: Any,
    *,
    threshold: Annotated[float, NON_NEGATIVE] = 1e-5,
    tails: bool = True,
) -> Any:
    """The layers without the components of little weight, in smaller arrays.

    Args:
      params: nested dicts, with ``{"u": (n, r), "v": (r, m)}`` in one place or more.
      threshold: bound of what is left out, see ``shrink_ranks``; at 0 the outputs stay.
      tails: see ``shrink_ranks``.

    Returns:
      As ``params``, with another rank at each place: at least 1, the first component
      where none has weight. Outside of jit, for its shapes depend on values.

    Raises:
      InputError: the threshold is negative, the parameters are traced or not finite, or
        there are no such layers.

    >>> pair = {"u": jnp.array([[1.0, 0.0]]), "v": jnp.array([[1.0], [0.0]])}
    >>> prune_ranks({"dense": pair}, threshold=0)["dense"]["v"].shape
    (1, 1)
    """
    check_arguments(prune_ranks, locals())

    def pruned(pair: Pair) -> Pair:
        u, v = pair["u"], pair["v"]
        one, two = known_values(u), known_values(v)
        if one is None or two is None:
            raise InputError(
                "prune_ranks makes shapes of values, which must be known here; under "
                "jit, and for factors divided over processes, call shrink_ranks"
            )
        if not (np.isfinite(one).all() and np.isfinite(two).all()):
            raise InputError("prune_ranks: a factor has values that are not finite")
        kept = np.flatnonzero(np.asarray(_kept(pair, threshold, tails)))
        kept = kept if kept.size else np.zeros(1, int)
        return {**pair, "u": u[:, kept], "v": v[kept]}

    return _of_pairs(pruned, params)


def merge_if_cheaper(params: Any) -> Any:
    """The layers whose factors have more entries than their product, as matrices.

    Args:
      params: nested dicts, with ``{"u": (n, r), "v": (r, m)}`` in one place or more.

    Returns:
      As ``params``, with ``{"kernel": (n, m)}`` in place of such a pair; the product is
      in the type of the factors.

    Raises:
      InputError: there are no such layers.

    >>> pair = {"u": jnp.ones((2, 2)), "v": jnp.ones((2, 2))}
    >>> merge_if_cheaper({"dense": pair})["dense"]["kernel"].tolist()
    [[2.0, 2.0], [2.0, 2.0]]
    """

    def merged(pair: Pair) -> Pair:
        u, v = pair["u"], pair["v"]
        if u.size + v.size <= u.shape[0] * v.shape[1]:
            return pair
        rest = {name: leaf for name, leaf in pair.items() if name not in ("u", "v")}
        return {"kernel": jnp.matmul(u, v, precision="highest"), **rest}

    return _of_pairs(merged, params)


def _checked(ranks: Sequence[int]) -> list[int]:
    found = list(ranks)
    if not found or not all(is_whole(r) and r >= 1 for r in found):
        raise InputError(
            "ranks must be whole numbers of at least 1, one for each layer; got "
            f"{found if len(found) < 9 else described(ranks)}"
        )
    return [int(r) for r in found]


def _kept(pair: Pair, threshold: Any, tails: bool) -> jax.Array:
    """Booleans of the components that have weight; NaN counts as weight."""

    def norms(x: jax.Array, axis: int) -> tuple[jax.Array, jax.Array]:
        x = x.astype(accumulation_dtype(x.dtype))
        squares = jnp.sum(jnp.square(x), axis=axis)
        there = jnp.any(x != 0, axis=axis)
        if tails:
            squares = jax.lax.cumsum(squares, reverse=True)
            there = jax.lax.cummax(there.astype(jnp.int8), reverse=True) > 0
        return safe_sqrt(squares), there

    (nu, u), (nv, v) = norms(pair["u"], 0), norms(pair["v"], 1)
    weight = nu * nv
    t = jnp.asarray(threshold, weight.dtype)
    # Products of tiny numbers are 0, although there is something.
    kept = jnp.where(t > 0, ~(weight <= t), u & v)
    return kept.at[0].set(True) if tails else kept


def _of_pairs(change: Callable[[Pair], Pair], params: Any) -> Any:
    """The tree with every pair of factors changed."""
    count = 0

    def walk(node: Any) -> Any:
        nonlocal count
        if not isinstance(node, Mapping):
            return node
        if _is_pair(node):
            count += 1
            return change(node)
        return {name: walk(child) for name, child in node.items()}

    made = walk(params)
    if not count:
        raise InputError(
            "no layer of ordered components is there: a dict with u of shape (n, r) "
            f"and v of shape (r, m); got {described(params)}"
        )
    return made


def _is_pair(node: Mapping[str, Any]) -> bool:
    u, v = np.shape(node.get("u", ())), node.get("v", ())
    if isinstance(node.get("u"), Mapping) or isinstance(v, Mapping):
        return False
    return len(u) == 2 and len(np.shape(v)) == 2 and u[1] == np.shape(v)[0]
