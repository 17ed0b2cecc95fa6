"""The numbers of the study on linear attention."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("norm_aware_attention",)
PAPER = "Meng et al. 2025, arXiv:2506.21137"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study.

    Smaller than the specification's 64 tokens of one pixel and width 32, for the
    processor time; attention without rotation, convolution and gate, so that the maps
    alone differ. In so few steps, and at two rates, each an edge of the grid, the
    differences of accuracies vary by several points from seed to seed: only large ones
    can be shown.

    Attributes:
      side: pixels of a patch; its square is a token.
      width: of the transformer.
      heads: of its attention.
      depth: blocks.
      batch: images of a step.
      steps: of Adam.
      rates: learning rates; each arm has its best on the first half of the seeds.
      images: test images whose queries and keys are taken.
    """

    side: int = 2
    width: int = 16
    heads: int = 2
    depth: int = 2
    batch: int = 32
    steps: int = 300
    rates: tuple[float, ...] = (3e-3, 1e-2)
    images: int = 32


SIZES = {
    QUICK: Config(seeds=2, width=8, depth=1, steps=5, rates=(3e-3,), images=4),
    STANDARD: Config(seeds=12),
}
