"""The numbers of the study on sine networks."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("siren", "winner")

PAPER = "Chandravamsi et al. 2025, arXiv:2509.09719"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study.

    Without the specification's signals of rows of pixels. The grid of scales leaves
    SIREN out, with which a loss to it could not be found.

    Attributes:
      samples: of a signal.
      bands: lowest and highest number of cycles of a signal, by name.
      waves: cosines of a signal.
      hidden: units of a layer.
      depth: layers of sines.
      steps: of Adam, on the whole signal.
      rates: learning rates; each arm has its best.
      factors: on WINNER's scales; 0 is SIREN, 1 the formula.
    """

    samples: int = 1024
    bands: tuple[tuple[str, int, int], ...] = (("low", 1, 20), ("high", 300, 480))
    waves: int = 12
    hidden: int = 64
    depth: int = 3
    steps: int = 500
    rates: tuple[float, ...] = (1e-4, 1e-3)
    factors: tuple[float, ...] = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0)


SIZES = {
    QUICK: Config(
        seeds=2,
        samples=128,
        bands=(("low", 1, 4), ("high", 40, 60)),
        waves=3,
        hidden=16,
        depth=2,
        steps=60,
        rates=(1e-3,),
        factors=(0.0, 0.1, 1.0),
    ),
    STANDARD: Config(seeds=6),
}
