"""The numbers of the study on predictors."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("predictor_guided",)

PAPER = "ONNX-Net, 2025, whose predictor is a language model; ours reads n-grams"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study, smaller than the paper's for the processor time.

    A seed is a bench of its own: other networks, with other weights.

    Attributes:
      networks: of each space, half of them to train on within it.
      steps: of each network.
      batch: examples of a step.
      rate: of Adam.
      features: places of the n-grams.
      longest: tokens of the longest n-gram.
      length: of the kernel.
      ridge: of the kernel ridge regression.
      hidden: units of the network that predicts.
      fitted: its steps.
      fit_rate: of Adam, for them.
    """

    networks: int = 24
    steps: int = 50
    batch: int = 32
    rate: float = 3e-3
    features: int = 1024
    longest: int = 2
    length: float = 0.7
    ridge: float = 0.1
    hidden: int = 32
    fitted: int = 200
    fit_rate: float = 3e-3


SIZES = {
    QUICK: Config(seeds=2, networks=6, steps=3, features=64, fitted=5),
    STANDARD: Config(seeds=5),
}
