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

    The standard size is for a play, ``text=FILE``, the speakers of Tiny Shakespeare. An
    earlier one, three epochs of a synthetic stream with batches of 25, 100 and 400, was
    too short: its memory was no better than recency, and nothing could be decided. This
    one was fixed with the plain arm alone, on the seeds 100 to 103, such that its
    smaller batch is above recency.

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

    train: int = 4800
    test: int = 960
    people: int = 60
    batches: tuple[int, ...] = (20, 80)
    recent: int = 200
    size: int = 16
    hidden: int = 16
    epochs: int = 10
    rate: float = 2e-3
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
    STANDARD: Config(seeds=8),
}
