"""The numbers of the study on depth."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("layernorm_scaling", "transformer_block")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study.

    Attributes:
      width: of the transformer.
      depth: its blocks.
      length: tokens of an example.
      batch: examples of a step.
      tokens: size of the vocabulary of the Markov chain.
      steps: of a run.
      rate: learning rate of Adam.
      last: steps at the end over which the loss is averaged.
      arms: of ``measure.ARMS``.
    """

    width: int = 64
    depth: int = 12
    length: int = 32
    batch: int = 16
    tokens: int = 16
    steps: int = 400
    rate: float = 1e-3
    last: int = 50
    arms: tuple[str, ...] = ("pre", "post", "mix", "lns", "1/n", "1/sqrt_n", "skipinit")


# Of two blocks a quarter is none: the quick run's mix is pre-norm.
SIZES = {
    QUICK: Config(
        seeds=2,
        width=16,
        depth=2,
        length=8,
        batch=4,
        steps=10,
        last=5,
        arms=("pre", "mix", "lns"),
    ),
    STANDARD: Config(seeds=6),
}
