"""The numbers of the study on lossless codes."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PAPER = "Liu, Mandt and Van den Broeck 2022, arXiv:2111.11632"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study.

    Attributes:
      train: digits that the circuit is fitted on.
      test: other digits, which are coded.
      alone: digits of the test that are coded once more, each by itself.
      states: of a hidden variable.
      steps: of expectation maximization.
      pseudocount: of an expected count.
      precision: bits of the integer tables.
    """

    train: int = 1200
    test: int = 500
    alone: int = 20
    states: int = 16
    steps: int = 60
    pseudocount: float = 0.1
    precision: int = 24


SIZES = {
    QUICK: Config(seeds=2, train=300, test=60, alone=2, states=4, steps=8),
    STANDARD: Config(seeds=6),
}
