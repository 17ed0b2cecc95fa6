"""The numbers of the study on compressed state."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = (
    "adamw",
    "adamw8bit",
    "adamw4bit",
    "adamw_linear",
    "microadam",
    "ldadam",
    "galore",
    "adafactor",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study; ``seeds`` give the figures, as many others choose rates.

    Attributes:
      steps: of training from scratch, and before the fine-tuning.
      tuned_steps: of fine-tuning.
      warmup: steps in which the rate rises, a share of the steps.
      rates: step sizes to choose from.
      width: of the transformer's residual stream.
      depth: its blocks.
      context: characters in an example.
      batch_size: examples in a batch.
      channels: of the convolutional network.
      pairs: pairs of timed steps.
      without: names of methods that are not run; compiling takes most of a quick run.
    """

    steps: int = 10
    tuned_steps: int = 5
    warmup: float = 0.1
    rates: tuple[float, ...] = (1e-3, 1e-2)
    seeds: int = 1
    width: int = 32
    depth: int = 1
    context: int = 16
    batch_size: int = 16
    channels: tuple[int, ...] = (16, 32)
    pairs: int = 4
    without: tuple[str, ...] = ()


SIZES: Mapping[str, Config] = {
    QUICK: Config(
        without=(
            "AdamW 8-bit",
            "AdamW, 8-bit linear v",
            "MicroAdam .01",
            "LDAdam 8",
            "GaLore 32",
        ),
    ),
    # Planned with two layers, 100 steps and five rates: over ten minutes, a third of it
    # compilation. Reduced before any verdict was seen.
    STANDARD: Config(
        steps=60,
        tuned_steps=30,
        rates=(1e-3, 3e-3, 1e-2, 3e-2),
        seeds=5,
        width=64,
        context=32,
        pairs=6,
    ),
}
