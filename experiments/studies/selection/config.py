"""The numbers of the study on the selection of networks."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study: digits and dense layers.

    Smaller than the specification's, Fashion-MNIST and convolutional networks, for the
    processor time; the distillation from several sources is left out.

    In an earlier run, with 20 labels a class and 500 steps of the sources, all sources
    were as accurate after fine-tuning, from 82.4 to 84.2 %, and nothing was there to be
    ranked. There are fewer labels now, sources are trained longer, and two of them have
    learned other images of the target's own classes, upright and turned; the test is
    larger. A run of these with 5 labels a class and 64 features gave every source the
    same H-score: with fewer examples than features it is the number of classes less
    one. Hence 10 labels and 32 features.

    Attributes:
      labels: of each of the classes 0 to 4, for the scores and for fine-tuning.
      tested: test digits of each of them.
      noise: standard deviation added to pixels between 0 and 1.
      width: of the two hidden layers; the second one is scored.
      source_steps: of the training of a source network.
      steps: of fine-tuning.
      batch: examples of a step.
      rate: learning rate of Adam, in both.
    """

    labels: int = 10
    tested: int = 80
    noise: float = 0.3
    width: int = 32
    source_steps: int = 2000
    steps: int = 100
    batch: int = 32
    rate: float = 1e-3


SIZES = {
    QUICK: Config(seeds=2, labels=4, width=8, source_steps=5, steps=5, batch=8),
    STANDARD: Config(seeds=12),
}
