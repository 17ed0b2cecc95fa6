"""Parameters of a network that its function does not determine, by layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxopt_lab.core.errors import InputError
from jaxopt_lab.diagnostics.activations.interaction_basis import Basis


class Synchronized(NamedTuple):
    """Units that switch together.

    Attributes:
      groups: numbers of the units of each group of two or more with one pattern.
      count: units beyond the first of their group.
      always_on: numbers of the units that are on for all examples.
      always_off: those that are off for all.
    """

    groups: tuple[tuple[int, ...], ...]
    count: int
    always_on: tuple[int, ...]
    always_off: tuple[int, ...]


class Degeneracy(NamedTuple):
    """Free directions of a layer.

    Attributes:
      dependent: dimensions in which its activations have no extent; each frees as many
        weights as the next layer has units.
      without_effect: directions of its activations that the next layers do not see.
    """

    dependent: int
    without_effect: int


def degeneracy_report(bases: Sequence[Basis]) -> list[Degeneracy]:
    """The ranks that are missing in every layer but the last.

    Args:
      bases: of ``interaction_basis``.

    Returns:
      One ``Degeneracy`` a layer; the counts are not to be added.

    >>> eye = np.eye(3)
    >>> basis = Basis(eye[:, :1], eye[:1], np.ones(1), 2, 0.0)
    >>> degeneracy_report([basis, basis])
    [Degeneracy(dependent=1, without_effect=1)]
    """
    return [
        Degeneracy(len(b.c) - b.gram_rank, b.gram_rank - len(b.eigenvalues))
        for b in bases[:-1]
    ]


def synchronized_units(patterns: Any) -> Synchronized:
    """The units of a layer of ReLUs that are on for the same examples.

    Args:
      patterns: whether each unit is on, ``(examples, units)``.

    Returns:
      The ``Synchronized``; units that never switch are apart.

    Raises:
      InputError: ``patterns`` is no matrix with at least one example.

    >>> synchronized_units([[1, 1, 0], [0, 0, 0]])
    Synchronized(groups=((0, 1),), count=1, always_on=(), always_off=(2,))
    """
    on = np.asarray(patterns) != 0
    if on.ndim != 2 or not len(on):
        raise InputError(f"patterns must be (examples, units); got shape {on.shape}")
    found: dict[bytes, list[int]] = {}
    always = [np.flatnonzero(on.all(0)), np.flatnonzero(~on.any(0))]
    still = set(np.concatenate(always).tolist())
    for unit in range(on.shape[1]):
        if unit not in still:
            found.setdefault(on[:, unit].tobytes(), []).append(unit)
    groups = tuple(tuple(g) for g in found.values() if len(g) > 1)
    both = [tuple(int(i) for i in a) for a in always]
    return Synchronized(groups, sum(len(g) - 1 for g in groups), both[0], both[1])
