"""The numbers of the study on kernels of depth."""

from __future__ import annotations

import dataclasses

from experiments.studies.study import QUICK, STANDARD, Settings

PARTS = ("hilbert_activation", "depth_limit")
PAPER = "Radhakrishnan, Belkin and Uhler 2022, arXiv:2204.14126"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Settings):
    """One size of the study.

    Attributes:
      widths: of the finite networks.
      layers: their hidden layers.
      points: their inputs.
      dimensions: principal components of the digits, each with its own activation.
      train: digits with labels.
      wrong: part of these labels that are wrong.
      depths: layers of infinitely wide networks.
      deepest: of those that are compared with their limits; of the cubic kernel, whose
        inner products are raised to 3 to the power of it, ``cubes``.
      cubes: see ``deepest``.
      samples: sizes of the samples of the planted law.
      tests: its test points.
      flipped: its Bayes error.
    """

    widths: tuple[int, ...] = (64, 256, 1024)
    layers: int = 2
    points: int = 8
    dimensions: tuple[int, ...] = (2, 3, 5)
    train: int = 200
    wrong: float = 0.1
    depths: tuple[int, ...] = (1, 10, 100)
    deepest: int = 60
    cubes: int = 5
    samples: tuple[int, ...] = (100, 400, 1600)
    tests: int = 1000
    flipped: float = 0.2


SIZES = {
    QUICK: Config(
        seeds=2,
        widths=(16, 64),
        dimensions=(2,),
        depths=(1, 10),
        samples=(50, 100),
        tests=50,
    ),
    STANDARD: Config(seeds=8),
}
