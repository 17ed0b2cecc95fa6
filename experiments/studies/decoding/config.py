"""The numbers of the study on decoding."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("greedy", "speculative", "skip_decode", "credit_decoding")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study.

    Attributes:
      width: of the target.
      depth: its blocks.
      heads: its heads.
      draft_width: of the draft, which has one block and one head.
      context: tokens of a row.
      tokens: size of the vocabulary of the Markov chain.
      batch: examples of a step.
      steps: of training.
      tuning: further steps with a schedule of layers.
      rate: learning rate of Adam.
      prompts: rows that are decoded.
      longest: tokens of the longest prompt.
      new: new tokens of a row.
      drafts: tokens that are drafted in a round.
      seats: rows of a round of the pool.
      max_layers: of SkipDecode, at the first position.
      min_layers: of SkipDecode, at the last one.
      warmup: first layers of SkipDecode that always run.
      quickly: compile without optimizations, which takes less time than it saves.
      block: columns that CreditDecoding decides together.
      threshold: of CreditDecoding.
      timed: repetitions of the measured times.
    """

    width: int = 64
    depth: int = 6
    heads: int = 4
    draft_width: int = 16
    context: int = 96
    tokens: int = 16
    batch: int = 32
    steps: int = 600
    tuning: int = 200
    rate: float = 2e-3
    prompts: int = 1000
    longest: int = 32
    new: int = 48
    drafts: int = 4
    seats: int = 250
    max_layers: int = 4
    min_layers: int = 2
    warmup: int = 1
    quickly: bool = False
    block: int = 16
    threshold: float = 0.7
    timed: int = 3


SIZES = {
    QUICK: Config(
        seeds=1,
        width=16,
        depth=2,
        heads=2,
        draft_width=8,
        context=24,
        batch=8,
        steps=10,
        tuning=10,
        prompts=8,
        longest=8,
        new=8,
        drafts=3,
        seats=4,
        max_layers=2,
        min_layers=1,
        warmup=0,
        quickly=True,
        block=4,
        timed=1,
    ),
    STANDARD: Config(seeds=5),
}

PAPER = (
    "Batch Speculative Decoding Done Right, 2025; Del Corro et al. 2023, "
    "arXiv:2307.02628; CreditDecoding, 2025"
)
