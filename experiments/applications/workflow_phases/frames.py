"""Random operations, frame by frame, and the score of their phases."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from experiments.applications.workflow_phases.config import Config


class Frames(NamedTuple):
    """Operations, padded to one length.

    Attributes:
      images: ``(operations, T, 64)``.
      phases: ``(operations, T)``.
      where: ``(operations, T)``, whether there is a frame.
    """

    images: np.ndarray
    phases: np.ndarray
    where: np.ndarray


def operations(
    rng: np.random.Generator, config: Config, digits: dict[int, np.ndarray], count: int
) -> Frames:
    """Random operations whose frames show the digit of their phase.

    Args:
      rng: draws all of them.
      config: the size of the application.
      digits: images ``(N, 64)`` of each phase.
      count: how many.

    Returns:
      The operations.
    """
    longest = (config.phases + 1) * 2 * config.length
    images = np.zeros((count, longest, 64), np.float32)
    phases = np.zeros((count, longest), np.int32)
    where = np.zeros((count, longest), bool)
    for n in range(count):
        order = [p for p in range(config.phases) if rng.random() > config.skipped]
        if len(order) > 2 and rng.random() < config.repeated:
            at = int(rng.integers(len(order) - 2))
            order.insert(at + 2, order[at])
        spans = rng.integers(config.length // 2, 3 * config.length // 2, len(order))
        own = np.repeat(order, spans)
        shown = np.where(
            rng.random(len(own)) < config.distractors,
            rng.integers(config.phases, size=len(own)),
            own,
        )
        for t, phase in enumerate(shown):
            images[n, t] = digits[phase][rng.integers(len(digits[phase]))]
        images[n, : len(own)] += config.noise * rng.normal(size=(len(own), 64))
        phases[n, : len(own)], where[n, : len(own)] = own, True
    return Frames(images, phases, where)


def jaccard(found: np.ndarray, truth: np.ndarray, where: np.ndarray) -> float:
    """Intersection over union of the frames of a phase, over phases and operations.

    Args:
      found: phases ``(operations, T)``.
      truth: likewise.
      where: likewise, false for padding.

    Returns:
      The mean over the phases that an operation has or is said to have.
    """
    each = []
    for one, two, kept in zip(found, truth, where, strict=True):
        one, two = one[kept], two[kept]
        every = np.union1d(one, two)
        shares = [np.sum((one == s) & (two == s)) for s in every]
        unions = [np.sum((one == s) | (two == s)) for s in every]
        each.append(np.mean(np.divide(shares, unions)))
    return float(np.mean(each))
