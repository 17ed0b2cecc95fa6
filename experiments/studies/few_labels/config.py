"""The numbers of the study on few labels."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("fixmatch", "shrinkmatch", "hybridnet", "views")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study: digits and dense layers.

    Smaller than the specification's, 4000 images of Fashion-MNIST and convolutional
    networks, for the processor time.

    An earlier run of 400 steps told no two arms apart: all were within a point of the
    supervised one. A run has five times as many steps now.

    Attributes:
      labels: labelled digits of each class.
      tested: test digits of each class; all others have no label.
      width: hidden units.
      code: units of each code of HybridNet.
      steps: of a run.
      batch: labelled examples of a step, drawn with replacement.
      times: unlabelled examples of a step, over the labelled ones.
      rate: learning rate of Adam.
      strength: of the strong views.
      threshold: of certain predictions.
      consistency: weight of the mean teacher.
      reconstruction: weight of HybridNet's.
      ramp: steps over which both rise.
    """

    labels: int = 4
    tested: int = 60
    width: int = 64
    code: int = 32
    steps: int = 2000
    batch: int = 32
    times: int = 2
    rate: float = 1e-3
    strength: float = 0.5
    threshold: float = 0.95
    consistency: float = 100.0
    reconstruction: float = 0.25
    ramp: int = 1000


SIZES = {
    QUICK: Config(seeds=2, width=8, code=4, steps=6, batch=8, ramp=2),
    STANDARD: Config(seeds=6),
}
