"""The numbers of the application on a codec of speech."""

from __future__ import annotations

import dataclasses

from experiments.applications.application import Settings

BANDS = 40  # mel bands up to 4 kHz
FRAMES = 100  # a second
STRIDE = 4  # frames of a code
ARMS = ("no prompt", "speaker vector", "+ mel prompt", "+ SSIM loss")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the application.

    Attributes:
      steps: of Adam, for each codec.
      rounds: of the steps, equal ones where they divide them; before each, dead codes
        live again.
      speakers: voices.
      train: utterances of each voice to train on.
      test: utterances of each to test on.
      length: frames of an utterance, a multiple of the stride.
      stages: of the residual codes, one rate each, in ascending order.
      groups: of the codes.
      codes: of a table.
      width: channels of the convolutions.
      latent: numbers of a code.
      size: utterances of a step.
      rate: the highest rate of Adam.
      similarity: weight of the structural similarity of codes and prompt.
    """

    steps: int = 200
    rounds: int = 5
    speakers: int = 8
    train: int = 60
    test: int = 15
    length: int = 32
    stages: tuple[int, ...] = (1, 2, 3)
    groups: int = 2
    codes: int = 16
    width: int = 16
    latent: int = 16
    size: int = 16
    rate: float = 3e-3
    similarity: float = 0.1
