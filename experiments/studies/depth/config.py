"""The numbers of the study on depth."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("layernorm_scaling", "transformer_block", "residual_expansion")


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
      arms: of ``transformers.ARMS``.
      residual_width: of the residual perceptrons, which have no norms.
      modules: their numbers of modules; the last number is the deep one of the claims,
        the one before it the one whose every scale trains.
      residual_batch: examples of a step.
      residual_steps: of a run.
      residual_rates: learning rates of Adam; an arm takes, for each seed, the best on a
        fifth of the training set that is kept aside.
    """

    width: int = 32
    depth: int = 12
    length: int = 32
    batch: int = 8
    tokens: int = 16
    steps: int = 300
    rate: float = 2e-3
    last: int = 50
    arms: tuple[str, ...] = ("pre", "post", "mix", "lns")
    residual_width: int = 32
    modules: tuple[int, ...] = (4, 16, 64)
    residual_batch: int = 32
    residual_steps: int = 300
    residual_rates: tuple[float, ...] = (3e-4, 1e-3, 3e-3)


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
        residual_width=8,
        modules=(2, 4),
        residual_steps=5,
        residual_rates=(1e-3,),
    ),
    STANDARD: Config(seeds=6),
}
