"""The numbers of the study on ordinal labels."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("supremix", "ordinal_cross_entropy")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study: digits and dense layers.

    Smaller than the specification's, which has scikit-learn's diabetes and photographs
    too, for the processor time.

    Attributes:
      train: digits; the others are the test.
      bins: of the angles, of 5 degrees each: the labels.
      noise: standard deviation added to pixels between 0 and 1, in each view anew.
      width: hidden units.
      features: of an embedding.
      steps: of a run.
      batch: examples of a step; contrastive losses see two views of each.
      rate: learning rate of Adam.
      temperature: of the contrastive losses.
      window: of labels, for mixed positives.
      mixed: mixed positives of an anchor.
      votes: of an image's quality, from 1 to 5.
      spread: standard deviation of votes.
      fidelity: weight of the fidelity loss.
    """

    train: int = 800
    bins: int = 13
    noise: float = 0.2
    width: int = 64
    features: int = 32
    steps: int = 500
    batch: int = 32
    rate: float = 1e-3
    temperature: float = 0.3
    window: float = 5.0
    mixed: int = 16
    votes: int = 10
    spread: float = 0.7
    fidelity: float = 1.0


SIZES = {
    QUICK: Config(
        seeds=2, train=64, width=8, features=4, steps=5, batch=8, mixed=2, votes=3
    ),
    STANDARD: Config(seeds=6),
}
