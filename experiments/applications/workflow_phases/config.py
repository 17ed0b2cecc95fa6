"""The numbers of the application on phases of operations."""

from __future__ import annotations

import dataclasses

from experiments.applications.application import Settings

METHODS = ("frame", "mean", "HMM", "mean + HMM")
MODES = ("online", "offline")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the application.

    Attributes:
      steps: of Adam, for the classifier of frames.
      operations: sequences; a fifth of them is for the test.
      phases: in order; the classes of digits that show them.
      length: mean number of frames of a phase.
      skipped: probability that a phase does not happen.
      repeated: probability that one phase comes again after the one behind it.
      distractors: share of the frames that show the digit of another phase.
      noise: deviation of the noise, of pixels in [0, 1].
      window: frames of the running mean, odd.
      batch: frames of a step.
      rate: learning rate.
    """

    steps: int = 400
    operations: int = 60
    phases: int = 8
    length: int = 12
    skipped: float = 0.15
    repeated: float = 0.5
    distractors: float = 0.15
    noise: float = 0.6
    window: int = 9
    batch: int = 128
    rate: float = 3e-3
