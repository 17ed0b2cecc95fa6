"""The numbers of the study on mixers."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("hydra_mixer",)
PAPER = "Hwang et al. 2024, arXiv:2407.09941"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study.

    Smaller than the specification's texts of 64 characters, width 64 and state 16, and
    on the texts of a Markov chain, for the processor time; one learning rate for all.
    The convolution before each matrix, of width 7, looks to both sides, also before a
    scan in one direction; the chain depends on the last two tokens.

    Attributes:
      arms: kinds of ``hydra_mixer``.
      tokens: of the chain.
      length: tokens of a text.
      texts: from which training draws.
      tests: texts of the test.
      masked: part of the tokens that are masked.
      width: of the network.
      depth: mixers, each with a perceptron behind it.
      hidden: units of the perceptron behind the largest mixer; the others have as many
        more as their mixer leaves.
      d_state: of the mixers.
      head_dim: of the mixers.
      batch: texts of a step.
      steps: of Adam.
      rate: its learning rate.
    """

    arms: tuple[str, ...] = (
        "quasiseparable",
        "forward",
        "sum",
        "toeplitz",
        "attention",
    )
    tokens: int = 12
    length: int = 32
    texts: int = 4096
    tests: int = 256
    masked: float = 0.3
    width: int = 32
    depth: int = 2
    hidden: int = 32
    d_state: int = 8
    head_dim: int = 16
    batch: int = 16
    steps: int = 400
    rate: float = 3e-3


SIZES = {
    QUICK: Config(
        seeds=2,
        arms=("quasiseparable", "forward"),
        length=8,
        texts=32,
        tests=8,
        width=8,
        depth=1,
        hidden=4,
        d_state=2,
        head_dim=8,
        batch=4,
        steps=5,
    ),
    STANDARD: Config(seeds=6),
}
