"""The numbers of the study on saved memory."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("mesa_gelu", "mesa_softmax", "mesa_layer_norm", "mesa_dense", "wta_crs_dense")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study.

    The tokens of every step are fresh: WTA-CRS has no gradients of an earlier visit to
    tell rows apart and draws them by the norms of the inputs alone, which a norm makes
    nearly equal; the paper fine-tunes on a set that it sees again.

    Attributes:
      width: of the transformer.
      depth: its blocks.
      length: tokens of an example.
      batch: examples of a step.
      tokens: size of the vocabulary of the Markov chain.
      steps: of a run.
      rate: learning rate of Adam.
      last: steps at the end over which the loss is averaged.
      ratios: parts of the rows that WTA-CRS keeps.
    """

    width: int = 64
    depth: int = 2
    length: int = 32
    batch: int = 16
    tokens: int = 16
    steps: int = 600
    rate: float = 2e-3
    last: int = 100
    ratios: tuple[float, ...] = (0.3, 0.1)


SIZES = {
    QUICK: Config(
        seeds=2, width=16, depth=1, length=16, batch=4, steps=20, last=5, ratios=(0.3,)
    ),
    STANDARD: Config(seeds=6),
}
