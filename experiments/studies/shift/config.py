"""The numbers of the study on statistics under shift."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("alpha_bn", "unmix_tns")

ALPHA = "You et al. 2021, arXiv:2110.04065"
UNMIX = "Tomar et al. 2024, arXiv:2401.08328"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study; smaller than the papers' networks and sets.

    Fashion-MNIST, where a folder of it is given, has the size of the digits and as
    many images.

    A stream has ten batches, in which the components of UnMix-TNS, made for long
    streams, move by a half.

    Attributes:
      sets: of images; the claims are of each.
      channels: of both convolutions.
      batch: examples of a step, of training.
      steps: of training on clean images.
      rate: learning rate of momentum 0.9.
      test_batch: examples of a batch of the stream, about one class where it is sorted.
      alpha: part of the test batch in alpha-BN, the paper's.
      components: of UnMix-TNS, the paper's.
      corruptions: of ``data.CORRUPTIONS``; those that mean something at 8 x 8 pixels.
      severity: of all of them.
    """

    sets: tuple[str, ...] = ("digits",)
    channels: int = 8
    batch: int = 64
    steps: int = 300
    rate: float = 0.05
    test_batch: int = 36
    alpha: float = 0.1
    components: int = 16
    corruptions: tuple[str, ...] = (
        "gaussian_noise",
        "impulse_noise",
        "brightness",
        "contrast",
    )
    severity: int = 4


SIZES = {
    QUICK: Config(
        seeds=2, channels=2, steps=5, components=2, corruptions=("contrast",)
    ),
    STANDARD: Config(seeds=8),
}
