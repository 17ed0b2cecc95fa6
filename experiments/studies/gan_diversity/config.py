"""The numbers of the study on the diversity of generators."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("gan",)

DROPOUT = "Mordido et al. 2018, arXiv:1807.11346 (Dropout-GAN)"
MICROBATCH = "Mordido et al. 2020, arXiv:2001.03376 (microbatchGAN)"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study.

    Networks and runs are smaller than the papers', and digits are left out, for the
    processor time. No sample need be near a mode: of points that are spread evenly over
    the grid 7 % are, and cover all of it. Each claim tells these shares.

    In an earlier run of 2000 steps with 32 units, and a grid of 25 modes 1 apart, at
    most a quarter of the samples were near a mode, and the modes that they covered said
    little. Networks are wider now and runs three times as long. At this length, five
    seeds could have shown differences of two to five modes of the ring and decided
    nothing, and a grid of 16 modes was not learned (a fifth of the samples near a
    mode). The figures are of ten other seeds, and of a grid of nine modes, which the
    plain GAN learns and of which it covers few.

    Attributes:
      ring: modes on a circle of radius 2.
      grid: modes a side of a square grid, 2 apart.
      spread: standard deviation of a mode.
      count: K, the discriminators where there are several.
      drops: probabilities of dropped feedback with them.
      pair: that with two discriminators.
      alphas: weights of the diversity with slices.
      dropped: the one of ``drops`` that has claims.
      told: the one of ``alphas`` that has claims.
      latent: features of the noise.
      width: hidden units of both layers of the networks.
      batch: examples of a step, divisible by K.
      steps: of a run.
      rate: learning rate of Adam with a first decay of 0.5, for all networks.
      points: samples that are counted at the end.
      near: standard deviations within which a sample belongs to a mode.
      least: share of its fair part of the samples with which a mode is covered.
    """

    ring: int = 8
    grid: int = 3
    spread: float = 0.1
    count: int = 5
    drops: tuple[float, ...] = (0.0, 0.5, 1.0)
    pair: float = 0.5
    alphas: tuple[float, ...] = (0.0, 0.5)
    dropped: float = 0.5
    told: float = 0.5
    latent: int = 8
    width: int = 64
    batch: int = 60
    steps: int = 6000
    rate: float = 1e-3
    points: int = 2000
    near: float = 3.0
    least: float = 0.1


SIZES = {
    QUICK: Config(seeds=2, width=8, steps=20, batch=20, points=200),
    STANDARD: Config(seeds=10, first_seed=10),
}
