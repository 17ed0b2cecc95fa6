"""Retrieval scores normalized by banks, against hubs."""
# Its examples wait for pytest --full.

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import jax
import jax.numpy as jnp

from jaxopt_lab.core.checks import check_integer
from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.known_values import known_values, out_of_range
from jaxopt_lab.core.options import COUNT, NON_NEGATIVE, check_arguments
from jaxopt_lab.core.trees import accumulation_dtype


def inverted_softmax(
    sim: jax.Array,
    query_bank_sim: jax.Array,
    *,
    scale: Annotated[float, NON_NEGATIVE] = 20.0,
    dynamic_top_k: int | None = None,
) -> jax.Array:
    r"""Logarithms of the inverted softmax of similarities (QBNorm with a query bank).

    .. math:: \beta s_{qg} - \log \sum_{k \in \text{bank}} e^{\beta s_{kg}}

    for query q and gallery item g: an item that is near every query of the bank, a hub,
    counts for less.

    Args:
      sim: ``(queries, gallery)``.
      query_bank_sim: ``(bank, gallery)``, of queries that are not those of ``sim``.
      scale: :math:`\beta`.
      dynamic_top_k: normalize only queries whose nearest item is among the ``k``
        nearest items of some item of the bank; the others rank as their similarities
        do. ``None``: all queries.

    Returns:
      ``(queries, gallery)`` in float32, float64 for float64. Scores of one query are to
      be ranked; those of different queries are no common scale where ``dynamic_top_k``
      is given.

    Raises:
      InputError: shapes do not fit, the bank is empty, or an argument is out of range.

    Source: Bogolin et al., "Cross Modal Retrieval with Querybank Normalisation", 2022
    (https://arxiv.org/abs/2112.12777).

    >>> sim = jnp.array([[0.9, 0.8], [0.9, 0.2]])
    >>> bank = jnp.array([[0.9, 0.1]])
    >>> inverted_softmax(sim, bank, scale=1.0).argmax(axis=1).tolist()
    [1, 1]
    """
    check_arguments(inverted_softmax, {"scale": scale})
    return _scores(sim, ((query_bank_sim, scale),), dynamic_top_k)


def dual_inverted_softmax(
    sim: jax.Array,
    query_bank_sim: jax.Array,
    gallery_bank_sim: jax.Array,
    *,
    query_scale: Annotated[float, NON_NEGATIVE] = 1 / 1.99,
    gallery_scale: Annotated[float, NON_NEGATIVE] = 3.0,
    dynamic_top_k: int | None = None,
) -> jax.Array:
    r"""Logarithms of the product of two inverted softmaxes (DBNorm).

    .. math:: (\beta_1 + \beta_2) s_{qg} - \log \sum_{k \in Q} e^{\beta_1 s_{kg}}
        - \log \sum_{k \in G} e^{\beta_2 s_{kg}},

    with a bank Q of queries and a bank G of gallery items. Two vectors of the length of
    the gallery are all that the banks give.

    Args:
      sim: ``(queries, gallery)``.
      query_bank_sim: ``(bank, gallery)``, of other queries.
      gallery_bank_sim: ``(bank, gallery)``, of other gallery items, within the modality
        of the gallery. Similarities are taken as they are: no norm of an embedding, a
        row or a bank is divided out here, and the scales are for cosines.
      query_scale: :math:`\beta_1`; the code takes 1 / 1.99.
      gallery_scale: :math:`\beta_2`; the code takes 3. At 0 the ranking is that of
        ``inverted_softmax``.
      dynamic_top_k: as of ``inverted_softmax``, with the items of both banks.

    Returns:
      As ``inverted_softmax``.

    Raises:
      InputError: shapes do not fit, a bank is empty, or an argument is out of range.

    Deviations: the released code gives the bank of the gallery another test matrix,
    changes its input, and mixes normalized values with similarities where it is
    dynamic; products of numbers below 0 change the order there, sums of logarithms do
    not.

    Source: Wang et al., "Balance Act: Mitigating Hubness in Cross-Modal Retrieval with
    Query and Gallery Banks", 2023 (https://arxiv.org/abs/2310.11612), and its code,
    yimuwangcs/Better_Cross_Modal_Retrieval.

    >>> sim = jnp.array([[0.9, 0.8], [0.9, 0.2]])
    >>> banks = jnp.array([[0.9, 0.1]]), jnp.array([[0.5, 0.0]])
    >>> dual_inverted_softmax(sim, *banks).argmax(axis=1).tolist()
    [1, 0]
    """
    chosen = {"query_scale": query_scale, "gallery_scale": gallery_scale}
    check_arguments(dual_inverted_softmax, chosen)
    banks = ((query_bank_sim, query_scale), (gallery_bank_sim, gallery_scale))
    return _scores(sim, banks, dynamic_top_k)


def hubness_skewness(sim: jax.Array, *, k: Annotated[int, COUNT] = 10) -> jax.Array:
    """Skewness of the number of queries that have an item among their nearest.

    Args:
      sim: ``(queries, gallery)``, similarities or scores.
      k: how many nearest items of each query count.

    Returns:
      The third standardized moment over all gallery items, also those that no query
      has (the code of DBNorm leaves them out); 0 where all have as many. Positive:
      a few hubs.

    Raises:
      InputError: ``k`` is below 1 or above the size of the gallery.

    >>> sim = jnp.array([[1.0, 0.0, 0.0], [1.0, 0.5, 0.0]])
    >>> round(float(hubness_skewness(sim, k=1)), 3)
    0.707
    """
    check_arguments(hubness_skewness, {"k": k})
    sim = _matrix("sim", sim)
    if k > sim.shape[1]:
        raise InputError(f"k must be at most the gallery, {sim.shape[1]}; got {k}")
    _, nearest = jax.lax.top_k(sim, k)
    counts = jnp.zeros(sim.shape[1], sim.dtype).at[nearest.reshape(-1)].add(1)
    apart = counts - jnp.mean(counts)
    var = jnp.mean(apart**2)
    cube = jnp.where(var > 0, var, 1) ** jnp.asarray(1.5, sim.dtype)
    return jnp.where(var > 0, jnp.mean(apart**3) / cube, 0)


def recall_at(
    scores: jax.Array, targets: jax.Array, *, ks: Sequence[int] = (1, 5, 10)
) -> dict[str, jax.Array]:
    """The share of the queries whose target is among the k highest scores.

    Args:
      scores: ``(queries, gallery)``.
      targets: index of each query's item, ``(queries,)``.
      ks: numbers of items.

    Returns:
      ``{"recall_at_1": ..., ...}``. Of equal scores the earlier item is the higher one.

    Raises:
      InputError: shapes do not fit, a ``k`` is below 1, or a target whose value is
        known is no item.

    >>> scores = jnp.array([[0.1, 0.9], [0.8, 0.3]])
    >>> float(recall_at(scores, jnp.array([1, 1]), ks=(1,))["recall_at_1"])
    0.5
    """
    scores = _matrix("scores", scores)
    targets = jnp.asarray(targets)
    if targets.shape != scores.shape[:1]:
        raise InputError(
            f"targets must be ({scores.shape[0]},), one for each query; got "
            f"{targets.shape}"
        )
    if not jnp.issubdtype(targets.dtype, jnp.integer):
        raise InputError(f"targets must be integers; got {targets.dtype}")
    items = scores.shape[1]
    values = known_values(targets)
    if values is not None and (wrong := out_of_range(values, items)).size:
        raise InputError(f"targets must be from 0 to {items - 1}; got {wrong[0]}")
    targets = targets.astype(jnp.int32)
    own = jnp.take_along_axis(scores, targets[:, None], axis=1)
    places = jnp.arange(scores.shape[1], dtype=jnp.int32)[None]
    before = (scores > own) | ((scores == own) & (places < targets[:, None]))
    rank = jnp.sum(before, axis=1)
    found = {}
    for k in ks:
        check_arguments(hubness_skewness, {"k": k})
        found[f"recall_at_{k}"] = jnp.mean(rank < k, dtype=scores.dtype)
    return found


def _matrix(name: str, x: jax.Array) -> jax.Array:
    x = jnp.asarray(x)
    if x.ndim != 2 or not jnp.issubdtype(x.dtype, jnp.floating):
        raise InputError(
            f"{name} must be (queries, gallery) of real floating numbers; got "
            f"{x.dtype} of shape {x.shape}"
        )
    return x.astype(accumulation_dtype(x.dtype))


def _scores(
    sim: jax.Array,
    banks: tuple[tuple[jax.Array, float], ...],
    dynamic_top_k: int | None,
) -> jax.Array:
    if dynamic_top_k is not None:
        check_integer("dynamic_top_k", dynamic_top_k, low=0)
    sim = _matrix("sim", sim)
    total = sum((jnp.asarray(b, sim.dtype) for _, b in banks), jnp.zeros((), sim.dtype))
    raw = total * sim
    hubs = jnp.zeros(sim.shape[1], sim.dtype)
    active = jnp.zeros(sim.shape[1], bool)
    for bank, scale in banks:
        bank = _matrix("a bank", bank).astype(sim.dtype)
        if bank.shape[0] == 0 or bank.shape[1] != sim.shape[1]:
            raise InputError(
                f"a bank must be (items, {sim.shape[1]}) with at least one item; got "
                f"{bank.shape}"
            )
        scaled = jnp.asarray(scale, sim.dtype) * bank
        hubs = hubs + jax.scipy.special.logsumexp(scaled, axis=0)
        if dynamic_top_k:
            _, nearest = jax.lax.top_k(bank, min(dynamic_top_k, bank.shape[1]))
            active = active.at[nearest.reshape(-1)].set(True)
    normalized = raw - hubs[None]
    if dynamic_top_k is None:
        return normalized
    return jnp.where(active[jnp.argmax(sim, axis=1)][:, None], normalized, raw)
