"""The numbers of the study on flow matching."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("weighted_flow_matching", "flow_matching")

PAPER = "Weighted Conditional Flow Matching (W-CFM), 2025, from the formula"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study.

    Attributes:
      modes: of the ring.
      radius: of the ring; a mode has a standard deviation of 0.3.
      factors: of W-CFM, epsilon over the mean distance of independent pairs; the arm
        ``cfm`` has an infinite one.
      width: hidden units of both layers of the velocity.
      batch: examples of a step.
      steps: of training.
      rate: learning rate of Adam at the start, which falls along a cosine.
      points: samples of each set whose distance is taken.
      fine: steps of the midpoint rule along which paths are measured.
      euler: numbers of Euler's steps of cheap samples.
      few: the one of them that has a claim.
      slack: share by which the distance after fine steps may exceed that of CFM.
    """

    modes: int = 8
    radius: float = 4.0
    factors: tuple[float, ...] = (1.0, 0.5, 0.25)
    width: int = 64
    batch: int = 128
    steps: int = 1500
    rate: float = 3e-3
    points: int = 400
    fine: int = 64
    euler: tuple[int, ...] = (1, 2, 4, 8)
    few: int = 2
    slack: float = 0.1


SIZES = {
    QUICK: Config(seeds=2, width=16, steps=100, points=100, fine=16),
    STANDARD: Config(seeds=8),
}
