"""The numbers of the study on memories of temporal graphs."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PAPER = "Su et al. 2024, arXiv:2402.04284, in the form of the paper, from memory"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study, smaller than the paper's for the processor time.

    Nodes have no features and a score sees their memories alone, neither names nor the
    time since their last event: what is told of the next speaker is little, and a claim
    below says whether it is more than recency tells.

    Attributes:
      train: events of the training, a multiple of every batch.
      test: events behind them, likewise.
      people: of the synthetic stream.
      batches: events of a batch, each four times the one before.
      recent: events among whose people negatives are drawn.
      size: of a node's memory.
      hidden: units of the score.
      epochs: passes over the training events, the memory forgotten between them.
      rate: of Adam.
      coherence: weight of PRES's coherence.
    """

    train: int = 2400
    test: int = 800
    people: int = 60
    batches: tuple[int, ...] = (25, 100, 400)
    recent: int = 100
    size: int = 16
    hidden: int = 16
    epochs: int = 3
    rate: float = 5e-3
    coherence: float = 0.1


SIZES = {
    QUICK: Config(
        seeds=2,
        train=48,
        test=16,
        people=8,
        batches=(4, 16),
        size=4,
        hidden=4,
        epochs=1,
    ),
    STANDARD: Config(seeds=6),
}
