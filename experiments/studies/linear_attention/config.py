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
    alone differ.

    A first run had 300 steps, the two lower rates and no decay: accuracies of a seed
    were apart by several points, and no difference below nine could have been seen. Now
    there are twice the steps, a third rate, a cosine decay, and other seeds.

    Attributes:
      side: pixels of a patch; its square is a token.
      width: of the transformer.
      heads: of its attention.
      depth: blocks.
      batch: images of a step.
      steps: of Adam.
      rates: learning rates, which decay to 0 as a cosine; each arm has its best on the
        first half of the seeds.
      images: test images whose queries and keys are taken.
    """

    side: int = 2
    width: int = 16
    heads: int = 2
    depth: int = 2
    batch: int = 32
    steps: int = 600
    rates: tuple[float, ...] = (3e-3, 1e-2, 3e-2)
    images: int = 32


SIZES = {
    QUICK: Config(seeds=2, width=8, depth=1, steps=5, rates=(3e-3,), images=4),
    STANDARD: Config(seeds=10, first_seed=20),
}
