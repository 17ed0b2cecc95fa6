"""The numbers of the study on decoupled training."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("decoupled", "synthetic_gradient")
PAPER = "Jaderberg et al. 2016, arXiv:1608.05343"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study.

    Smaller than the specification's, for the processor time; its memory network with
    fast and slow controllers is left out. Four symbols over twelve steps survive in an
    LSTM that is not trained to keep them: truncated gradients solve this task, which
    leaves synthetic ones nothing to win.

    Attributes:
      width: units of the three hidden modules.
      hidden: units of a predictor.
      batch: examples of a step.
      steps: of the modules' training.
      rate: learning rate of Adam of the modules.
      predictor_rate: of the predictors.
      slack: test accuracy that unlocked modules may lose.
      symbols: of which one is to be remembered.
      length: steps of a sequence, the symbol first, the loss behind the last.
      windows: lengths of the windows whose gradients are taken.
      units: of the LSTM.
      sequences: batches of sequences.
    """

    width: int = 32
    hidden: int = 64
    batch: int = 64
    steps: int = 600
    rate: float = 2e-3
    predictor_rate: float = 2e-3
    slack: float = 0.02
    symbols: int = 4
    length: int = 12
    windows: tuple[int, ...] = (2, 4)
    units: int = 16
    sequences: int = 1500


SIZES = {
    QUICK: Config(
        seeds=2,
        width=8,
        hidden=8,
        batch=8,
        steps=10,
        length=4,
        windows=(2,),
        units=4,
        sequences=5,
    ),
    STANDARD: Config(seeds=8),
}
