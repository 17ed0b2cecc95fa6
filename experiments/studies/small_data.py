"""Small labelled sets, and random parts of them, for the studies."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from experiments.studies import programs
from experiments.studies.programs import Labelled


def all_digits() -> Labelled:
    """The flat digits for training and for the test, as one set."""
    train, test = programs.digits()
    return jax.tree.map(lambda *x: jnp.concatenate(x), train, test)


def parts(key: jax.Array, data: Labelled, *sizes: int) -> tuple[Labelled, ...]:
    """Random parts of a set without a common example.

    Args:
      key: PRNG key.
      data: the set.
      *sizes: of the parts but the last, which has the rest.

    Returns:
      The parts.
    """
    order = jax.random.permutation(key, len(data.labels))
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    places = jnp.split(order, ends)
    return tuple(Labelled(data.inputs[p], data.labels[p]) for p in places)


def noisy(key: jax.Array, data: Labelled, scale: float) -> Labelled:
    """A set whose inputs have normal noise, so that a network errs on a part of them.

    Args:
      key: PRNG key.
      data: the set.
      scale: standard deviation.

    Returns:
      The set.
    """
    noise = scale * jax.random.normal(key, data.inputs.shape)
    return data._replace(inputs=data.inputs + noise)


def picked(data: Labelled, places: jax.Array) -> Labelled:
    """The examples at some places.

    Args:
      data: the set.
      places: integers of any shape, such as those of ``programs.picks``.

    Returns:
      The examples, with the axes of the places first.
    """
    return Labelled(data.inputs[places], data.labels[places])


def by_class(
    key: jax.Array, data: Labelled, counts: list[int], tested: int
) -> tuple[Labelled, Labelled, Labelled]:
    """A training set of given counts, a balanced test, and the rest.

    Args:
      key: PRNG key.
      data: a set of as many classes.
      counts: training examples of each class.
      tested: test examples of each class.

    Returns:
      The three, without a common example.
    """
    draws = jax.random.uniform(key, data.labels.shape)
    order = jnp.lexsort((draws, data.labels))
    sizes = jnp.bincount(data.labels, length=len(counts))
    labels = data.labels[order]
    first = jnp.cumsum(sizes) - sizes
    ranks = jnp.arange(len(order)) - first[labels]
    train = ranks < jnp.array(counts)[labels]
    test = (ranks >= (sizes - tested)[labels]) & ~train
    totals = sum(counts), tested * len(counts)
    sets = (train, totals[0]), (test, totals[1])
    rest = ~train & ~test, len(order) - sum(totals)
    first_set, second_set, last_set = (
        picked(data, order[jnp.nonzero(chosen, size=total)[0]])
        for chosen, total in (*sets, rest)
    )
    return first_set, second_set, last_set
