"""The numbers of the study on early stopping."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("activation_stopping",)

PAPER = "Guiroy et al. 2022, arXiv:2208.02377 (ABE)"
SAME = "same"

TARGETS: Mapping[str, tuple[float, float]] = {
    SAME: (-5.0, 5.0),
    "wider": (-10.0, 10.0),
    "shifted": (5.0, 10.0),
}
"""Intervals of the inputs; the source has the first. Activations before adaptation
depend on the inputs alone: targets of other heights or phases could not be told."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study.

    Sinusoids alone: few-shot images are left out, for the processor time.

    Attributes:
      width: hidden units of both layers.
      tasks: of a step of the meta-training.
      every: steps between two checkpoints.
      checkpoints: their number.
      rate: learning rate of Adam outside.
      inner: rate of the one inner step of gradient descent.
      judged: tasks of the validation, and of the test of each target.
      given: tasks of the target whose inputs are known to ABE.
      slack: share by which the error on the same inputs may be above.
    """

    width: int = 32
    tasks: int = 10
    every: int = 50
    checkpoints: int = 60
    rate: float = 2e-3
    inner: float = 0.05
    judged: int = 100
    given: int = 5
    slack: float = 0.05


SIZES = {
    QUICK: Config(seeds=2, width=8, tasks=2, every=2, checkpoints=6, judged=4),
    STANDARD: Config(seeds=10),
}
