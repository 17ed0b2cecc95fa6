"""The numbers of the study on the locality of denoisers."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("wiener_denoiser",)

PAPER = "Locality in Image Diffusion Models Emerges from Data Statistics, 2509.09672"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study.

    Digits of 8 x 8 pixels and a dense network alone: a convolutional one, which the
    specification has beside it, and Fashion-MNIST are left out for the processor time.

    Attributes:
      alphas: cumulative signals of the noise levels.
      middle: places of those at which derivatives are compared.
      radii: of square patches, in pixels to each side; 7 is the whole image.
      threshold: of the data-local masks.
      test: images that are denoised.
      data: examples of the closed forms; all train the networks.
      width: hidden units of both layers.
      batch: examples of a step.
      steps: of a run.
      rate: learning rate of Adam at the start, which falls along a cosine.
    """

    alphas: tuple[float, ...] = (0.95, 0.9, 0.8, 0.6, 0.4, 0.25, 0.1, 0.05)
    middle: tuple[int, ...] = (3, 4)
    radii: tuple[int, ...] = (1, 2, 3, 4, 7)
    threshold: float = 0.02
    test: int = 64
    data: int = 1437
    width: int = 128
    batch: int = 128
    steps: int = 2000
    rate: float = 2e-3


SIZES = {
    QUICK: Config(
        seeds=2, alphas=(0.9, 0.4), middle=(1,), test=8, data=200, width=16, steps=50
    ),
    STANDARD: Config(seeds=6),
}
