"""Adaptive selection of sparse models by the statistics of clients (FedTiny)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.core.typing import Batch, Params, PyTree


class Moments(NamedTuple):
    """Mean and variance of the inputs of one batch normalization.

    Attributes:
      mean: ``(channels,)``.
      variance: ``(channels,)``.
    """

    mean: jax.Array
    variance: jax.Array


class BatchNormSelection(NamedTuple):
    """The candidate that was chosen.

    Attributes:
      index: its number.
      losses: averaged loss of every candidate, ``(candidates,)``.
      statistics: its averaged statistics, a tree of ``Moments``.
    """

    index: int
    losses: np.ndarray
    statistics: PyTree


def average_statistics(
    clients: Sequence[PyTree], weights: Sequence[float], *, pooled: bool = False
) -> PyTree:
    r"""The statistics of clients as one, weighted by their examples.

    .. math:: \mu = \sum w_c \mu_c, \quad v = \sum w_c v_c
        \;\text{ or, pooled, }\; \sum w_c (v_c + \mu_c^2) - \mu^2

    Args:
      clients: a tree of ``Moments`` of each client.
      weights: w, divided by their sum.
      pooled: the variance of all examples together, with that between clients; the
        paper has the plain mean of variances.

    Returns:
      A tree of ``Moments``.

    Raises:
      InputError: there is not a weight for each client, or they sum to 0.

    >>> one, two = Moments(jnp.zeros(1), jnp.ones(1)), Moments(jnp.ones(1), jnp.ones(1))
    >>> found = average_statistics([one, two], [1, 1], pooled=True)
    >>> float(found.mean[0]), float(found.variance[0])
    (0.5, 1.25)
    """
    share = np.asarray(weights, np.float64)
    if len(share) != len(clients) or not len(share) or not share.sum() > 0:
        raise InputError(
            f"weights must be one for each of {len(clients)} clients, not all 0; got "
            f"{list(weights)}"
        )
    share = share / share.sum()

    def mean(parts: Sequence[jax.Array]) -> jax.Array:
        first, *rest = (
            jnp.asarray(w, x.dtype) * x for w, x in zip(share, parts, strict=True)
        )
        return sum(rest, start=first)

    def joined(*each: Moments) -> Moments:
        centre = mean([m.mean for m in each])
        if not pooled:
            return Moments(centre, mean([m.variance for m in each]))
        # The second moments about the common mean lose no digits to its square.
        apart = [m.variance + (m.mean - centre) ** 2 for m in each]
        return Moments(centre, mean(apart))

    return jax.tree.map(joined, *clients, is_leaf=lambda x: isinstance(x, Moments))


def select_by_batch_norm(
    candidates: Sequence[Params],
    clients: Sequence[Batch],
    observe: Callable[[Params, Any], PyTree],
    loss: Callable[[Params, PyTree, Any], jax.Array],
    *,
    weights: Sequence[float] | None = None,
    pooled: bool = False,
) -> BatchNormSelection:
    """The sparse model that has the least loss with the statistics of the clients.

    Each client takes the statistics of each candidate on its own data; the server
    averages them; each client tells the loss of the candidate with these. No weight is
    trained, and what is sent are statistics and one number a candidate.

    Args:
      candidates: parameters, such as those of ``magnitude_masks`` at densities of
        ``noisy_layer_densities``, 0 where inactive.
      clients: the data of each client.
      observe: ``observe(params, data) -> statistics``, a tree of ``Moments``.
      loss: ``loss(params, statistics, data) -> scalar``.
      weights: of the clients; ``None``: their numbers of examples, the length of the
        first leaf of their data.
      pooled: as of ``average_statistics``.

    Returns:
      The choice; of equal losses the first.

    Raises:
      InputError: there is no candidate or no client, or a loss is not finite for all.

    The released code draws its candidates by another seed of the network and averages
    the scales of normalizations; this is the algorithm of the paper. Each candidate
    and client is one call of a program that is compiled once.

    >>> observe = lambda w, x: Moments(jnp.mean(w * x)[None], jnp.var(w * x)[None])
    >>> loss = lambda w, s, x: jnp.mean((w * x - s.mean) ** 2)
    >>> data = [jnp.array([1.0, 2.0]), jnp.array([3.0])]
    >>> two = [jnp.array(2.0), jnp.array(1.0)]
    >>> select_by_batch_norm(two, data, observe, loss).index
    1

    Source: Huang et al., "Distributed Pruning Towards Tiny Neural Networks in
    Federated Learning", arXiv:2212.01977.
    """
    if not len(candidates) or not len(clients):
        raise InputError(
            f"select_by_batch_norm needs candidates and clients; got {len(candidates)} "
            f"and {len(clients)}"
        )
    counts = weights
    if counts is None:
        counts = [len(jax.tree.leaves(data)[0]) for data in clients]
    seen, scored = jax.jit(observe), jax.jit(loss)
    share = np.asarray(counts, np.float64)
    found = []
    for params in candidates:
        each = [seen(params, data) for data in clients]
        statistics = average_statistics(each, counts, pooled=pooled)
        told = [float(scored(params, statistics, data)) for data in clients]
        found.append((float(np.dot(share / share.sum(), told)), statistics))
    losses = np.array([value for value, _ in found])
    if not np.isfinite(losses).any():
        raise InputError("the loss of every candidate is not finite")
    index = int(np.nanargmin(np.where(np.isfinite(losses), losses, np.inf)))
    return BatchNormSelection(index, losses, found[index][1])
