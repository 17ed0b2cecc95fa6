"""The settings of the experiment: everything that is a number."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Config:
    """One size of the experiment.

    Attributes:
      steps: of training from scratch, and before the fine-tuning.
      tuned_steps: of fine-tuning.
      warmup: steps in which the rate rises, a share of the steps.
      rates: step sizes to choose from.
      seeds: seeds that give the figures; as many others choose the step size.
      width: of the transformer's residual stream.
      depth: its blocks.
      context: characters in an example.
      batch_size: examples in a batch.
      channels: of the convolutional network.
      pairs: pairs of timed steps.
    """

    steps: int = 60
    tuned_steps: int = 30
    warmup: float = 0.1
    rates: tuple[float, ...] = (1e-3, 3e-3, 1e-2, 3e-2)
    seeds: int = 3
    width: int = 64
    depth: int = 2
    context: int = 32
    batch_size: int = 16
    channels: tuple[int, ...] = (16, 32)
    pairs: int = 4


CONFIGS: Mapping[str, Config] = {
    "quick": Config(),
    "full": Config(
        steps=400,
        tuned_steps=200,
        rates=(1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2),
        seeds=3,
        width=192,
        depth=4,
        context=64,
        channels=(32, 64),
        pairs=10,
    ),
}
