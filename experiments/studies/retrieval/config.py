"""The numbers of the study on retrieval."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = (
    "threshold_consistent_margin",
    "multi_positive_retrieval",
    "similarity_ranking",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study: digits and dense layers.

    Smaller than the specification's, Fashion-MNIST and a convolutional network, for the
    processor time.

    Attributes:
      tested: digits among 5 to 9 that are retrieved.
      noise: standard deviation added to pixels between 0 and 1.
      width: hidden units.
      features: of an embedding.
      steps: of a run.
      groups: in a step; each has a query of each of the classes 0 to 4, and positives.
        With one positive there are twice as many as with ``positives``, and the same
        number of images.
      positives: of a query.
      batch: images of a step with proxies.
      rate: learning rate of Adam.
      scale: of the cosines to proxies.
      temperature: of the contrastive losses.
      weights: of the threshold-consistent margin.
      ranks: weight of the ranks of similarities.
    """

    tested: int = 300
    noise: float = 0.2
    width: int = 64
    features: int = 32
    steps: int = 400
    groups: int = 3
    positives: int = 3
    batch: int = 60
    rate: float = 1e-3
    scale: float = 16.0
    temperature: float = 0.05
    weights: tuple[float, ...] = (0.0, 0.5, 1.0, 2.0)
    ranks: float = 0.1


SIZES = {
    QUICK: Config(seeds=2, tested=60, width=8, features=4, steps=5, weights=(0.0, 1.0)),
    STANDARD: Config(seeds=6),
}
