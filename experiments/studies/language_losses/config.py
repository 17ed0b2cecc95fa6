"""The numbers of the study on losses of language models."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("emo",)

PAPER = "Ren et al. 2023, arXiv:2310.04691"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study: a perceptron on the last characters.

    Smaller than the specification's, a transformer of two layers, for the processor
    time.

    Attributes:
      sources: modules of the standard library, or parts of the given text.
      characters: of each; the last fifth is held out.
      context: characters that the model sees.
      width: of the embedding, which is input and output.
      hidden: units.
      warm: steps with cross-entropy from which all arms start.
      steps: of fine-tuning.
      batch: contexts of a step.
      rate: learning rate of Adam.
      held: held-out contexts.
      streams: samples of every arm.
      length: characters of a sample.
    """

    sources: int = 20
    characters: int = 10_000
    context: int = 8
    width: int = 32
    hidden: int = 128
    warm: int = 800
    steps: int = 400
    batch: int = 64
    rate: float = 3e-3
    held: int = 4000
    streams: int = 64
    length: int = 200


SIZES = {
    QUICK: Config(
        seeds=2,
        sources=2,
        characters=2000,
        hidden=8,
        width=4,
        warm=20,
        steps=10,
        held=100,
        streams=2,
        length=20,
    ),
    STANDARD: Config(seeds=6),
}
