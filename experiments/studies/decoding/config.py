"""The numbers of the study on decoding."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("greedy", "speculative", "skip_decode", "credit_decoding")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study.

    Smaller than the specification's transformer of six blocks of width 64, contexts of
    96 tokens and 600 steps, and with one share of layers, for the processor time; the
    thousand prompts are those of all seeds, each with models of its own. One seed of an
    earlier run, at larger sizes, was seen before these were set: there the calls of the
    masked models were those of a batch, which its slowest row decides, and both
    decoders made one token in each; now every row has its own.

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
      prompts: rows that are decoded, of every seed.
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

    width: int = 32
    depth: int = 4
    heads: int = 4
    draft_width: int = 16
    context: int = 64
    tokens: int = 16
    batch: int = 16
    steps: int = 300
    tuning: int = 80
    rate: float = 3e-3
    prompts: int = 200
    longest: int = 24
    new: int = 32
    drafts: int = 4
    seats: int = 50
    max_layers: int = 3
    min_layers: int = 2
    warmup: int = 1
    quickly: bool = False
    block: int = 16
    threshold: float = 0.7
    timed: int = 2


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
