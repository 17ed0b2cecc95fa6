"""The numbers of the study on quantization after the training."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = (
    "nearest_linear",
    "nearest_gptq",
    "gptq",
    "quantease",
    "genie",
    "jlcm",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study: smaller networks than the papers', for processor time.

    The layer of the outputs stays as it is, and all gram matrices are those of the
    network before.

    Attributes:
      bits: of a weight.
      steps: of the training.
      batch: examples of a step.
      rate: of Adam.
      calibration: training examples behind the gram matrices.
      learned: steps of the methods that learn their rounding.
    """

    bits: tuple[int, ...] = (8, 4, 3, 2)
    steps: int = 600
    batch: int = 64
    rate: float = 3e-3
    calibration: int = 512
    learned: int = 300


SIZES = {
    QUICK: Config(seeds=2, bits=(4, 2), steps=5, calibration=64, learned=2),
    STANDARD: Config(seeds=6),
}
